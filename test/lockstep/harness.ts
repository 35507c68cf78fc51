/**
 * Runs one program on two machines side by side and says where they part. A machine is whatever can load a program and
 * retire instructions: the reference, the WebAssembly interpreter, later translated code.
 */
import { disassemble } from '../../src/isa/disasm.ts';

/** What is compared: named values, and the memory the program can reach. */
export interface MachineState {
  /** `x1`, `f3`, `pc`, `priv`, CSRs by name. Names that only one side has are not compared. */
  readonly fields: Readonly<Record<string, bigint>>;
}

/** The part of a program that a machine needs. */
export interface LoadableProgram {
  readonly image: Uint8Array;
  readonly base: bigint;
}

export interface Machine {
  readonly name: string;
  /** Architectural reset; RAM holds the image at its base and zeros elsewhere; the pc is the base. */
  load(program: LoadableProgram): void;
  /**
   * Runs until `count` more instructions have retired, or the program has ended by a write to the test finisher, or
   * the hart waits for an interrupt that cannot come. Taking a trap retires nothing. Returns how many retired.
   */
  step(count: number): number;
  /**
   * Takes an interrupt that is due now. Some machines take it at the end of the instruction that made it pending, some
   * before the next one: after this they must look alike.
   */
  settle(): void;
  state(): MachineState;
  /** A copy of RAM; `offset` from the program's base. */
  memory(offset: number, lengthBytes: number): Uint8Array;
}

export interface CompareOptions {
  /** Instructions between two comparisons; the first difference is then looked for one by one. */
  readonly strideInstructions: number;
  readonly maxInstructions: number;
  /** Bytes of RAM from the base that are compared at the end. */
  readonly memoryBytes: number;
  readonly ignore: ReadonlySet<string>;
}

export interface Difference {
  /** Instructions that had retired when the machines last agreed. */
  readonly afterInstructions: number;
  /** The address of the next instruction then, and what it is. */
  readonly pc: bigint;
  readonly instruction: string;
  /** One line for each field or piece of memory. */
  readonly lines: readonly string[];
}

export interface Comparison {
  readonly instructions: number;
  readonly difference: Difference | null;
}

const DEFAULTS: CompareOptions = {
  strideInstructions: 256,
  maxInstructions: 2_000_000,
  memoryBytes: 0x8_0000,
  ignore: new Set(['mcycle', 'minstret', 'mtime']),
};
/** Lines of memory differences shown at most. */
const MEMORY_LINES = 16;
const LINE_BYTES = 8;

/** Runs a program to its end on both machines. The first is the one believed, for the wording. */
export function compareMachines(
  program: LoadableProgram,
  a: Machine,
  b: Machine,
  options: Partial<CompareOptions> = {},
): Comparison {
  const settings = { ...DEFAULTS, ...options };
  a.load(program);
  b.load(program);
  let instructions = 0;
  while (instructions < settings.maxInstructions) {
    const retiredA = a.step(settings.strideInstructions);
    const retiredB = b.step(settings.strideInstructions);
    const lines = compareSettled(a, b, settings.ignore);
    if (retiredA !== retiredB || lines.length > 0) {
      return {
        instructions,
        difference: pinpoint(program, a, b, { agreedInstructions: instructions, lines }, settings),
      };
    }
    instructions += retiredA;
    if (retiredA < settings.strideInstructions) break;
  }
  const lines = compareMemory(a.memory(0, settings.memoryBytes), b.memory(0, settings.memoryBytes), program.base);
  if (lines.length === 0) return { instructions, difference: null };
  const difference = { afterInstructions: instructions, pc: 0n, instruction: 'memory at the end', lines };
  return { instructions, difference };
}

function compareSettled(a: Machine, b: Machine, ignore: ReadonlySet<string>): string[] {
  a.settle();
  b.settle();
  return compareStates(a.state(), b.state(), ignore);
}

/** Runs both again up to the stride in which they parted, and then one instruction at a time. */
function pinpoint(
  program: LoadableProgram,
  a: Machine,
  b: Machine,
  { agreedInstructions, lines: atStride }: { agreedInstructions: number; lines: readonly string[] },
  settings: CompareOptions,
): Difference {
  a.load(program);
  b.load(program);
  a.step(agreedInstructions);
  b.step(agreedInstructions);
  a.settle();
  b.settle();
  for (let done = agreedInstructions; ; done++) {
    const pc = a.state().fields.pc ?? 0n;
    const instruction = describe(a, program, pc);
    const retiredA = a.step(1);
    const retiredB = b.step(1);
    const lines = compareSettled(a, b, settings.ignore);
    if (retiredA !== retiredB) lines.unshift(`retired: ${a.name} ${retiredA}, ${b.name} ${retiredB}`);
    if (lines.length > 0) return { afterInstructions: done, pc, instruction, lines };
    if (retiredA === 0 || done > agreedInstructions + settings.strideInstructions) {
      const gone = ['the machines agree when run one instruction at a time; at the stride:', ...atStride];
      return { afterInstructions: done, pc, instruction, lines: gone };
    }
  }
}

/** The instruction at a pc, found by its low bits as the trap handlers do; traps may come first. */
function describe(machine: Machine, program: LoadableProgram, pc: bigint): string {
  const offset = Number(pc % 0x8_0000n);
  if (offset + 4 > program.image.length) return 'outside the program';
  const bytes = machine.memory(offset, 4);
  return disassemble(new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true), pc);
}

/** One line for each field that both have and that differs. */
export function compareStates(a: MachineState, b: MachineState, ignore: ReadonlySet<string> = new Set()): string[] {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(a.fields)) {
    const other = b.fields[name];
    if (other === undefined || other === value || ignore.has(name)) continue;
    lines.push(`${name}: ${hex(value)} / ${hex(other)}`);
  }
  return lines;
}

/** One line for each eight bytes that differ, the first few. */
export function compareMemory(a: Uint8Array, b: Uint8Array, base: bigint): string[] {
  const lines: string[] = [];
  if (Buffer.compare(a, b) === 0) return lines;
  for (let at = 0; at < a.length && lines.length < MEMORY_LINES; at += LINE_BYTES) {
    const left = Buffer.from(a.subarray(at, at + LINE_BYTES));
    const right = Buffer.from(b.subarray(at, at + LINE_BYTES));
    if (!left.equals(right)) lines.push(`[${hex(base + BigInt(at))}]: ${word(left)} / ${word(right)}`);
  }
  return lines;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function word(bytes: Buffer): string {
  return bytes.length === LINE_BYTES ? hex(bytes.readBigUInt64LE()) : bytes.toString('hex');
}
