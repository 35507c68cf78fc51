/**
 * What `-d` shows of a hart: `in_asm`, every instruction in assembly, once, when it is first decoded; `int`, every trap
 * as it is taken; `guest_errors`, register accesses that nothing answers; `jit`, a line whenever something was translated.
 */
import type { Hart } from '../../src/hart/hart.ts';
import { disassemble } from '../../src/isa/disasm.ts';

/** What to log. */
export interface LogConfig {
  readonly items: readonly string[];
}

/** Told of an access that ended in a bus fault. */
export type FaultObserver = (gpa: number, size: number, isWrite: boolean) => void;

const EXCEPTIONS: readonly string[] = [
  ...['instruction address misaligned', 'instruction access fault', 'illegal instruction', 'breakpoint'],
  ...['load address misaligned', 'load access fault', 'store address misaligned', 'store access fault'],
  ...['call from U mode', 'call from S mode', 'reserved 10', 'call from M mode'],
  ...['instruction page fault', 'load page fault', 'reserved 14', 'store page fault'],
];
const INTERRUPT = 1n << 63n;

const hex = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`;

/** Longest piece handed over at once. */
const PIECE_CHARS = 8192;

/** The logs of one hart, gathered in pieces of whole lines; whoever runs the hart flushes them. */
export class HartLog {
  readonly #hart: Hart;
  readonly #send: (text: string) => void;
  readonly #wantsTranslations: boolean;
  /** Modules that the last line told of. */
  #modules = 0;
  #text = '';

  /** @param send takes whole lines */
  constructor(hart: Hart, config: LogConfig, send: (text: string) => void) {
    this.#hart = hart;
    this.#send = send;
    const wants = (item: string): boolean => config.items.includes(item);
    this.#wantsTranslations = wants('jit');
    if (wants('in_asm')) hart.decodeObserver = (offset, word) => this.#instruction(offset, word);
    if (wants('int')) hart.trapObserver = (cause, pc, tval, toSupervisor) => this.#trap(cause, pc, tval, toSupervisor);
    this.onFault = wants('guest_errors') ? (gpa, size, isWrite) => this.#fault(gpa, size, isWrite) : null;
  }

  /** Who is to be told of bus faults, if anybody. */
  readonly onFault: FaultObserver | null;

  flush(): void {
    this.#translations();
    if (this.#text.length > 0) this.#send(this.#text);
    this.#text = '';
  }

  #translations(): void {
    const { translator } = this.#hart;
    if (!this.#wantsTranslations || translator === null || translator.modules === this.#modules) return;
    this.#modules = translator.modules;
    this.#write(translator.report());
  }

  #instruction(offset: number, word: number): void {
    // While an instruction is decoded the hart's pc lies in its page; the offset says where.
    const pc = (this.#hart.get('pc') & ~0xfffn) | BigInt(offset);
    const isShort = (word & 3) !== 3;
    const bits = (isShort ? word & 0xffff : word >>> 0).toString(16).padStart(isShort ? 4 : 8, '0');
    this.#write(`${hex(pc)}:  ${bits.padEnd(8)}  ${disassemble(word, pc)}`);
  }

  #trap(cause: bigint, pc: bigint, tval: bigint, toSupervisor: number): void {
    const number = Number(BigInt.asUintN(63, cause));
    const isInterrupt = (cause & INTERRUPT) !== 0n;
    const name = isInterrupt ? `interrupt ${number}` : (EXCEPTIONS[number] ?? `exception ${number}`);
    this.#write(`trap to ${toSupervisor === 1 ? 'S' : 'M'} mode: ${name}, epc ${hex(pc)}, tval ${hex(tval)}`);
  }

  #fault(gpa: number, size: number, isWrite: boolean): void {
    const what = `${isWrite ? 'write' : 'read'} of ${size} byte(s) at 0x${gpa.toString(16)}`;
    this.#write(`bus fault: ${what}, pc ${hex(this.#hart.get('pc'))}`);
  }

  #write(line: string): void {
    this.#text += `${line}\n`;
    if (this.#text.length >= PIECE_CHARS) this.flush();
  }
}
