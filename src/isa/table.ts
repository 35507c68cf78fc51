/**
 * Every instruction there is, one entry for each definition. Decoder, assembler, disassembler, reference and
 * interpreter derive from this list. An instruction's index in it may serve as its number within one build only.
 */
import { A } from './extensions/a.ts';
import { C } from './extensions/c.ts';
import { F_D_ZFH } from './extensions/f-d-zfh.ts';
import { HINTS } from './extensions/hints.ts';
import { I } from './extensions/i.ts';
import { M } from './extensions/m.ts';
import { PRIVILEGED } from './extensions/privileged.ts';
import { ZAWRS } from './extensions/zawrs.ts';
import { ZBA } from './extensions/zba.ts';
import { ZBB } from './extensions/zbb.ts';
import { ZBC } from './extensions/zbc.ts';
import { ZBS } from './extensions/zbs.ts';
import { ZCB } from './extensions/zcb.ts';
import { ZFA } from './extensions/zfa.ts';
import { ZICBO } from './extensions/zicbo.ts';
import { ZICOND } from './extensions/zicond.ts';
import { ZICSR } from './extensions/zicsr.ts';
import { ZIFENCEI } from './extensions/zifencei.ts';
import type { Insn } from './insn.ts';

export const INSTRUCTIONS: readonly Insn[] = [
  ...I,
  ...M,
  ...A,
  ...F_D_ZFH,
  ...C,
  ...ZICSR,
  ...ZIFENCEI,
  ...PRIVILEGED,
  ...HINTS,
  ...ZBA,
  ...ZBB,
  ...ZBC,
  ...ZBS,
  ...ZICOND,
  ...ZICBO,
  ...ZAWRS,
  ...ZFA,
  ...ZCB,
];

const BY_NAME: ReadonlyMap<string, Insn> = new Map(INSTRUCTIONS.map((insn) => [insn.name, insn]));

/** The instruction of that mnemonic (without `.aq` and `.rl`), if there is one. */
export function findInsn(name: string): Insn | undefined {
  return BY_NAME.get(name);
}
