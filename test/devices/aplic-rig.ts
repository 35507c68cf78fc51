/** Two APLIC domains wired as on the board, and short names for their registers. */
import {
  type AplicChild,
  type AplicConfig,
  type AplicEvent,
  aplic,
  aplicRegisters as R,
} from '../../actors/irq/aplic.ts';
import { SimLoop } from '../support/sim-loop.ts';

export const MODE = { inactive: 0, detached: 1, edge1: 4, edge0: 5, level1: 6, level0: 7 } as const;
export const DELEGATE = 0x400;
export const IE = 0x100;
export const HARTS = 4;
export const SOURCES = 96;
export const FILES = { machine: 0x2400_0000, supervisor: 0x2800_0000 };

export const sourcecfg = (source: number) => R.sourcecfg.offset + (source - 1) * 4;
export const target = (source: number) => R.target.offset + (source - 1) * 4;
export const idc = (hart: number, register: 'idelivery' | 'iforce' | 'ithreshold' | 'topi' | 'claimi') =>
  R[register].offset + hart * R[register].strideBytes;
export const targetOf = (hart: number, value: number) => ((hart << 18) | value) >>> 0;
export const topOf = (source: number, priority: number) => source * 0x1_0000 + priority;

export interface Msi {
  readonly gpa: number;
  readonly data: number;
}

export type Options = Partial<Omit<AplicConfig, 'level'>> & { readonly isTaken?: (gpa: number) => boolean };
export type Domain = ReturnType<typeof domain>;

function domain(config: AplicConfig, isTaken: (gpa: number) => boolean, child?: AplicChild) {
  const lines = new Array<boolean>(config.harts).fill(false);
  const msis: Msi[] = [];
  const core = aplic.create(
    {
      loop: new SimLoop(),
      context: (hart) => ({
        set: (level) => {
          lines[hart] = level;
        },
      }),
      msi: {
        send: (gpa, data) => {
          msis.push({ gpa, data });
          return isTaken(gpa);
        },
      },
      ...(child !== undefined && { child }),
    },
    config,
  );
  const read = (offset: number) => core.mmioRead?.(offset, 4) as number;
  const write = (offset: number, value: number) => core.mmioWrite?.(offset, value, 4);
  const pending = (source: number) => ((read(R.setip.offset + (source >>> 5) * 4) >>> (source & 31)) & 1) === 1;
  /** Active in a mode, enabled, and going somewhere. */
  const enable = (source: number, mode: number, to: number) => {
    write(sourcecfg(source), mode);
    write(target(source), to);
    write(R.setienum.offset, source);
  };
  const wire = (source: number, level: boolean) => core.input?.(source, level);
  return { core, lines, msis, read, write, pending, enable, wire };
}

/** The root at machine level and its child; wires lead to the root. */
export function pair(options: Options = {}) {
  const { isTaken = () => true, ...rest } = options;
  const config = { delivery: 'direct', sources: SOURCES, harts: HARTS, delegateAll: false, ...rest } as const;
  /** What the child hears: messages, and the levels of wires. */
  const told: (AplicEvent | readonly [source: number, level: boolean])[] = [];
  const child = domain({ ...config, level: 'supervisor' }, isTaken);
  const send = (event: AplicEvent) => {
    told.push(event);
    child.core.handle?.(event);
  };
  const set = (source: number, level: boolean) => {
    told.push([source, level]);
    child.core.input?.(source, level);
  };
  const root = domain({ ...config, level: 'machine' }, isTaken, { actor: { send }, inputs: { set } });
  return { root, child, told };
}

/** A domain without a child, ready to deliver to every hart. */
export function leaf(options: Options = {}): Domain {
  const { isTaken = () => true, ...rest } = options;
  const config = { delivery: 'direct', sources: SOURCES, harts: HARTS, delegateAll: false, ...rest } as const;
  const only = domain({ ...config, level: 'machine' }, isTaken);
  only.write(R.domaincfg.offset, IE);
  for (let hart = 0; hart < config.harts; hart++) only.write(idc(hart, 'idelivery'), 1);
  return only;
}
