/** The argument of -serial, in QEMU's syntax: where the console's bytes come from and go to. */
import { ConfigError } from '../util/config-error.ts';

export type SerialSpec =
  | { readonly kind: 'stdio' }
  | { readonly kind: 'null' }
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'unix';
      readonly path: string;
      /** Listen at the path instead of connecting to it. */
      readonly server: boolean;
      /** As a server: start the machine only when somebody is connected. */
      readonly wait: boolean;
    };

export const serialSyntax = 'stdio, null, file:PATH or unix:PATH[,server[,nowait]]';

/** Suboptions of `unix:` -> what they set. `server` alone waits for a client, as QEMU does. */
const unixOptions: Readonly<Record<string, { server?: boolean; wait?: boolean }>> = {
  server: { server: true },
  'server=on': { server: true },
  'server=off': { server: false },
  wait: { wait: true },
  'wait=on': { wait: true },
  nowait: { wait: false },
  'wait=off': { wait: false },
};

/** @throws ConfigError naming -serial */
export function parseSerial(text: string): SerialSpec {
  if (text === 'stdio' || text === 'null') return { kind: text };
  // With QEMU's monitor behind Ctrl-A C: our keys are behind Ctrl-A anyway.
  if (text === 'mon:stdio') return { kind: 'stdio' };
  if (text.startsWith('file:') && text.length > 'file:'.length) {
    return { kind: 'file', path: text.slice('file:'.length) };
  }
  if (text.startsWith('unix:')) return parseUnix(text.slice('unix:'.length));
  throw new ConfigError('-serial', `'${text}' is no serial back end`, `Give ${serialSyntax}.`);
}

/** A comma in the path is written twice. */
function parseUnix(text: string): SerialSpec {
  const [path = '', ...options] = text.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(',,', ','));
  if (path === '') throw new ConfigError('-serial', "'unix:' without a path", `Give ${serialSyntax}.`);
  let settings = { server: false, wait: true };
  for (const option of options) {
    const setting = unixOptions[option];
    if (setting === undefined) {
      throw new ConfigError(
        '-serial',
        `unknown suboption '${option}'`,
        `Known are ${Object.keys(unixOptions).join(', ')}.`,
      );
    }
    settings = { ...settings, ...setting };
  }
  return { kind: 'unix', path, ...settings };
}
