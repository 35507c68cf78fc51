/**
 * `-device`: the PCI devices that can be named on the command line, with QEMU's names and properties.
 * Not modelled: QEMU's other devices and properties; they are an error, never ignored.
 */
import { edu, type VmPciDevice } from '../index.ts';
import { ConfigError } from '../util/config-error.ts';

/** A root port, or a function. */
export type DeviceSpec = { readonly rootPort: string } | { readonly pci: VmPciDevice };

/** What each kind takes beside `id`. */
export const deviceKinds = {
  'pcie-root-port': [],
  edu: ['bus', 'addr', 'dma_mask'],
} as const satisfies Record<string, readonly string[]>;

/** Where a function goes when `bus` names it: the root bus. */
const ROOT_BUS = 'pcie.0';

/** @param index how many devices came before: names those without an id. @throws ConfigError */
export function parseDevice(text: string, index: number): DeviceSpec {
  const [kind = '', ...words] = text.split(',');
  if (!isKind(kind)) {
    throw new ConfigError(
      '-device',
      `'${kind}' is not known`,
      `Known devices: ${Object.keys(deviceKinds).join(', ')}.`,
    );
  }
  const allowed: readonly string[] = ['id', ...deviceKinds[kind]];
  const given = new Map<string, string>();
  for (const word of words) {
    const [name = '', value] = word.split(/=(.*)/s);
    if (!allowed.includes(name) || value === undefined || value === '') {
      const remedy = `Write -device ${kind}${allowed.map((known) => `[,${known}=...]`).join('')}.`;
      throw new ConfigError('-device', `${kind} has no '${word}'`, remedy);
    }
    given.set(name, value);
  }
  const name = given.get('id') ?? `${kind}${index}`;
  if (kind === 'pcie-root-port') return { rootPort: name };
  const bus = given.get('bus');
  const addr = given.get('addr');
  const mask = given.get('dma_mask');
  return {
    pci: {
      name,
      definition: edu,
      config: mask === undefined ? {} : { dmaMask: BigInt(integer('dma_mask', mask)) },
      ...(bus !== undefined && bus !== ROOT_BUS && { bus }),
      ...(addr !== undefined && { addr: integer('addr', addr) }),
    },
  };
}

function isKind(kind: string): kind is keyof typeof deviceKinds {
  return Object.hasOwn(deviceKinds, kind);
}

function integer(name: string, text: string): number {
  if (/^(0x[0-9a-f]{1,13}|\d{1,15})$/i.test(text)) return Number(text);
  throw new ConfigError('-device', `${name}=${text} is no number`, `Write ${name}=2 or ${name}=0x2.`);
}
