/** `-d in_asm`: every instruction in assembly, once, when it is first decoded. */
import type { Hart } from '../../src/hart/hart.ts';
import { disassemble } from '../../src/isa/disasm.ts';

/** What to log. */
export interface LogConfig {
  readonly items: readonly string[];
}

export function attachInstructionLog(hart: Hart, config: LogConfig, write: (text: string) => void): void {
  if (!config.items.includes('in_asm')) return;
  hart.decoder.observer = (offset, word) => {
    // The hart's pc is the instruction's while it is decoded; a page's offset is what the decoder itself knows.
    const pc = (hart.get('pc') & ~0xfffn) | BigInt(offset);
    const isShort = (word & 3) !== 3;
    const bits = (isShort ? word & 0xffff : word >>> 0).toString(16).padStart(isShort ? 4 : 8, '0');
    write(`0x${pc.toString(16)}:  ${bits.padEnd(8)}  ${disassemble(word, pc)}\n`);
  };
}
