/** The header of a saved machine: which machine it is. Plain data; what comes from a file is checked field by field. */
import { AIA_KINDS, type Aia } from '../actors/cpu/aia.ts';
import type { BootPlan } from './boot/plan.ts';
import { StateError, StateReader } from './bus/device-state.ts';
import type { PrngState } from './util/prng.ts';
import type { RunState } from './vm-deterministic.ts';

/** What of a boot plan a machine needs that has begun: what lay in RAM is in RAM. */
export type SavedPlan = Omit<BootPlan, 'segments' | 'initrd'>;

/** A PCI function. */
export interface SavedFunction {
  readonly name: string;
  /** The definition's name. */
  readonly kind: string;
  /** The root port it is behind. */
  readonly bus: string | null;
  /** Its device number. */
  readonly device: number;
  /** Of the functions that this program knows by their kind. */
  readonly config: unknown;
}

/** A caller's device. */
export interface SavedDevice {
  readonly name: string;
  readonly base: number;
  readonly irq: number | null;
}

export interface SavedVm {
  readonly harts: number;
  readonly aia: Aia;
  readonly bios: 'default' | 'none' | 'firmware';
  readonly plan: SavedPlan;
  readonly rootPorts: readonly string[];
  readonly pci: readonly SavedFunction[];
  readonly devices: readonly SavedDevice[];
  /** Virtual time. */
  readonly timeNs: number;
  /** It was running when it was saved. */
  readonly runs: boolean;
  /** Of a deterministic run. */
  readonly run: RunState | null;
}

const BOARD = 'virt';
/** Of this header. */
const VERSION = 1;
const UINT32_MAX = 0xffff_ffff;
/** A slice is no longer than a hart can be told. */
const SLICE_LOG2_MAX = 30;

export function headerOf(saved: SavedVm): Record<string, unknown> {
  const { plan, ...rest } = saved;
  const { rom, start, dtbGpa, tohostGpa = null, fromhostGpa = null } = plan;
  return { board: BOARD, version: VERSION, ...rest, plan: { rom: [...rom], ...start, dtbGpa, tohostGpa, fromhostGpa } };
}

/** @throws StateError, naming the field, for what headerOf() cannot have given */
export function readHeader(header: Readonly<Record<string, unknown>>): SavedVm {
  const reader = new StateReader('machine', header);
  const board = reader.text('board');
  if (board !== BOARD) throw new StateError('machine.board', `${BOARD}, but ${board}`);
  const version = reader.uint('version', UINT32_MAX);
  if (version !== VERSION) throw new StateError('machine.version', `${VERSION}, but ${version}`);
  const run = reader.unknown('run');
  const saved: SavedVm = {
    harts: reader.uint('harts', UINT32_MAX),
    aia: oneOf(AIA_KINDS, reader.text('aia'), 'machine.aia'),
    bios: oneOf(['default', 'none', 'firmware'] as const, reader.text('bios'), 'machine.bios'),
    plan: planOf(reader.object('plan')),
    rootPorts: reader.strings('rootPorts'),
    pci: listOf(reader.unknown('pci'), 'machine.pci').map(functionOf),
    devices: listOf(reader.unknown('devices'), 'machine.devices').map(deviceOf),
    timeNs: reader.number('timeNs'),
    runs: reader.flag('runs'),
    run: run === null ? null : runOf(run),
  };
  reader.finish();
  return saved;
}

function planOf(state: object): SavedPlan {
  const reader = new StateReader('machine.plan', state);
  const tohostGpa = reader.uintOrNull('tohostGpa', Number.MAX_SAFE_INTEGER);
  const fromhostGpa = reader.uintOrNull('fromhostGpa', Number.MAX_SAFE_INTEGER);
  const address = (name: string): number => reader.uint(name, Number.MAX_SAFE_INTEGER);
  const plan: SavedPlan = {
    rom: Uint8Array.from(reader.uints('rom', 0xff, 0, 65_536)),
    start: {
      mode: oneOf(['M', 'S'] as const, reader.text('mode'), 'machine.plan.mode'),
      pcGpa: address('pcGpa'),
      a1: address('a1'),
      a2: address('a2'),
    },
    dtbGpa: address('dtbGpa'),
    ...(tohostGpa !== null && { tohostGpa }),
    ...(fromhostGpa !== null && { fromhostGpa }),
  };
  reader.finish();
  return plan;
}

function functionOf(state: unknown): SavedFunction {
  const reader = new StateReader('machine.pci', state);
  const bus = reader.unknown('bus');
  if (bus !== null && typeof bus !== 'string') throw new StateError('machine.pci.bus', 'a name, or null');
  const one = {
    name: reader.text('name'),
    kind: reader.text('kind'),
    bus,
    device: reader.uint('device', 31),
    config: reader.unknown('config'),
  };
  reader.finish();
  return one;
}

function deviceOf(state: unknown): SavedDevice {
  const reader = new StateReader('machine.devices', state);
  const device = {
    name: reader.text('name'),
    base: reader.uint('base', Number.MAX_SAFE_INTEGER),
    irq: reader.uintOrNull('irq', UINT32_MAX),
  };
  reader.finish();
  return device;
}

function runOf(state: unknown): RunState {
  const reader = new StateReader('machine.run', state);
  const simulation = new StateReader('machine.run.simulation', reader.object('simulation'));
  const placement = new StateReader('machine.run.placement', reader.object('placement'));
  const [high = 0, low = 0, length = 0] = simulation.uints('log', Number.MAX_SAFE_INTEGER, 3, 3);
  const run: RunState = {
    seed: reader.uint('seed', UINT32_MAX),
    timeNs: reader.number('timeNs'),
    chance: chanceOf(reader.unknown('chance')),
    simulation: {
      chance: chanceOf(simulation.unknown('chance')),
      steps: simulation.uint('steps', Number.MAX_SAFE_INTEGER),
      log: [high, low, length],
    },
    placement: {
      instructions: placement.uints('instructions', Number.MAX_SAFE_INTEGER, 1, UINT32_MAX),
      chances: listOf(placement.unknown('chances'), 'machine.run.placement.chances').map(chanceOf),
      boundLog2: placement.uint('boundLog2', SLICE_LOG2_MAX),
      slicesLeft: placement.uint('slicesLeft', UINT32_MAX),
    },
  };
  for (const one of [reader, simulation, placement]) one.finish();
  return run;
}

function chanceOf(state: unknown): PrngState {
  const reader = new StateReader('chance', { words: state });
  const [a = 0, b = 0, c = 0, d = 0] = reader.uints('words', UINT32_MAX, 4, 4);
  return [a, b, c, d];
}

function listOf(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new StateError(field, 'a list');
  return value;
}

function oneOf<T extends string>(known: readonly T[], value: string, field: string): T {
  const found = known.find((one) => one === value);
  if (found === undefined) throw new StateError(field, `one of ${known.join(', ')}`);
  return found;
}
