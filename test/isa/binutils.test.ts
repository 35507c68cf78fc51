/**
 * The table against GNU binutils: their assembler makes the same bytes of what our disassembler writes, and their
 * disassembler gives every encoding the same mnemonic. Extensions that the installed version does
 * not know are checked by vectors.test.ts.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decode } from '../../src/isa/decode.ts';
import { formatInsn } from '../../src/isa/disasm.ts';
import type { Decoded, Insn } from '../../src/isa/insn.ts';
import { syntaxOf } from '../../src/isa/syntax.ts';
import { INSTRUCTIONS } from '../../src/isa/table.ts';
import { hasTool, skipReason } from '../support/tools.ts';
import { randomWord, seeded } from './random-operands.ts';

const PREFIX = 'riscv64-unknown-elf-';
const installed = hasTool('gcc-riscv64-unknown-elf');

const ALWAYS = 'rv64imafdc_zicsr_zifencei_zba_zbb_zbc_zbs_zfh_zawrs_zicbom_zicboz_zicbop_svinval_zihintpause';
/** Known to newer versions only. */
const NEWER = ['zicond', 'zfa', 'zcb'];

let directory = '';
let unknown: readonly string[] = [];
let architecture = ALWAYS;

function assembles(march: string, source: string): boolean {
  return (
    spawnSync(`${PREFIX}as`, [`-march=${march}`, '-o', join(directory, 'probe.o')], { input: source }).status === 0
  );
}

beforeAll(() => {
  if (!installed) return;
  directory = mkdtempSync(join(tmpdir(), 'bottomhalf-isa-'));
  unknown = NEWER.filter((extension) => !assembles(`rv64gc_${extension}`, 'nop\n'));
  architecture = [ALWAYS, ...NEWER.filter((extension) => !unknown.includes(extension))].join('_');
});
afterAll(() => {
  if (directory !== '') rmSync(directory, { recursive: true });
});

const known = (insn: Insn): boolean => !unknown.includes(insn.extension.toLowerCase());

/** GNU's assembler before 2.41 encodes exact conversions with RNE only and takes no mode for them. */
function fixRounding(decoded: Decoded): boolean {
  return decoded.insn.syntax.endsWith('rm=rne') && decoded.operands.rm !== 0;
}

/** Where the two rightly differ. */
function isExpected(decoded: Decoded | null, ours: string | null, theirs: string | null): boolean {
  // HINTs have names of their own.
  if (theirs === `${ours}64` && decoded?.operands.shamt === 0) return true;
  if (ours === 'c.nop' && theirs === 'c.addi') return true;
  if (ours === 'ori' && theirs?.startsWith('prefetch.') && decoded?.operands.rd === 0) return true;
  // Reserved fields of fences are to be ignored, and an exact conversion may name any rounding mode.
  if ((ours === 'fence' || ours === 'fence.i') && theirs === null) return true;
  if (decoded !== null && fixRounding(decoded) && theirs === null) return true;
  // Theirs knows what is reserved or has gone out of the specification.
  return ours === null && ['c.addi16sp', 'uret', 'hret', 'sfence.vm'].includes(theirs ?? '');
}

/** HINTs that their assembler has no way to write: empty sets of a fence, compressed shifts by 0. */
function cannotWrite({ insn, operands }: Decoded): boolean {
  if (insn.name === 'fence') return operands.pred === 0 || operands.succ === 0;
  return ['c.slli', 'c.srli', 'c.srai'].includes(insn.name) && operands.shamt === 0;
}

/** The text of an instruction, with its target relative to itself. */
function relative(decoded: Decoded): string {
  const text = formatInsn(decoded);
  const target = syntaxOf(decoded.insn).some((item) => item.kind === 'target');
  return target ? text.replace(/0x[0-9a-f]+$/, `. + ${decoded.operands.imm}`) : text;
}

/** The text section that GNU's assembler makes of the source. */
function assembleGnu(source: string): Buffer {
  const object = join(directory, 'batch.o');
  const binary = join(directory, 'batch.bin');
  execFileSync(`${PREFIX}as`, [`-march=${architecture}`, '-o', object], { input: source });
  execFileSync(`${PREFIX}objcopy`, ['-O', 'binary', '-j', '.text', object, binary]);
  return readFileSync(binary);
}

describe.skipIf(!installed)(`binutils (${skipReason('gcc-riscv64-unknown-elf')})`, () => {
  it('assembles what we disassemble to the same bytes', () => {
    const random = seeded(7);
    const samples: Decoded[] = [];
    for (const insn of INSTRUCTIONS.filter(known)) {
      for (let sample = 0; sample < 25; sample++) {
        let word = randomWord(insn, random);
        if (insn.name === 'fence.i') word = insn.match;
        if (insn.name === 'fence') word &= 0x0ff0707f;
        const decoded = decode(word);
        if (decoded !== null && !fixRounding(decoded) && !cannotWrite(decoded)) samples.push(decoded);
      }
    }
    const source = samples
      .map((decoded) => `.option ${decoded.insn.length === 2 ? 'rvc' : 'norvc'}\n${relative(decoded)}\n`)
      .join('');
    const bytes = assembleGnu(`.option norelax\n${source}`);
    let offset = 0;
    const different: string[] = [];
    for (const decoded of samples) {
      const word = decoded.insn.length === 2 ? bytes.readUInt16LE(offset) : bytes.readUInt32LE(offset);
      if (word !== decoded.word)
        different.push(`${relative(decoded)}: ${decoded.word.toString(16)}, ${word.toString(16)}`);
      offset += decoded.insn.length;
    }
    expect(different).toEqual([]);
    expect(offset).toBe(bytes.length);
  });

  /** The mnemonic objdump gives to each word; null where it knows none. */
  function mnemonicsGnu(words: readonly number[], directive: '.half' | '.word'): (string | null)[] {
    // One word a section, so that none is taken for part of another.
    const source = join(directory, 'words.s');
    const object = join(directory, 'words.o');
    const lines = words.map((word) => `.insn ${directive === '.half' ? 2 : 4}, 0x${word.toString(16)}`);
    writeFileSync(source, `.text\n.option norelax\n${lines.join('\n')}\n`);
    execFileSync(`${PREFIX}as`, [`-march=${architecture}`, '-o', object, source]);
    const text = execFileSync(`${PREFIX}objdump`, ['-d', '-M', 'no-aliases', object], { maxBuffer: 1 << 28 });
    return [...text.toString().matchAll(/^\s+[0-9a-f]+:\t[0-9a-f ]+\t(\S+)(.*)/gm)].map(
      ([, name = '', operands = '']) =>
        name.startsWith('.') || name === 'c.unimp' || operands.includes('unknown') ? null : name,
    );
  }

  /** Differences, one for each kind: our mnemonic and theirs, with an example. */
  function differences(words: readonly number[], theirs: readonly (string | null)[]): string[] {
    const different = new Map<string, string>();
    for (const [index, word] of words.entries()) {
      const decoded = decode(word);
      const other = theirs[index] ?? null;
      if (decoded !== null && !known(decoded.insn)) continue;
      const ours = decoded === null ? null : (formatInsn(decoded).split(' ')[0] ?? null);
      if (ours !== other && !isExpected(decoded, ours, other)) different.set(`${ours} is ${other}`, word.toString(16));
    }
    return [...different].map(([text, example]) => `${text}: ${example}`);
  }

  it('disassembles every compressed encoding to the same mnemonic', () => {
    const words = Array.from({ length: 0x10000 }, (_, half) => half).filter((half) => (half & 3) !== 3);
    const theirs = mnemonicsGnu(words, '.half');
    expect(theirs.length).toBe(words.length);
    expect(differences(words, theirs)).toEqual([]);
  });

  it('disassembles random words to the same mnemonic', () => {
    const random = seeded(8);
    const words: number[] = [];
    for (const insn of INSTRUCTIONS) {
      if (insn.length !== 4 || !known(insn)) continue;
      for (let sample = 0; sample < 60; sample++) {
        // An instruction with a bit turned lies next to it: reserved, or another one. x11111 begins a longer encoding.
        const word = (randomWord(insn, random) ^ (1 << (2 + random() * 30))) >>> 0;
        if ((word & 0x1f) !== 0x1f) words.push(word);
      }
    }
    const theirs = mnemonicsGnu(words, '.word');
    expect(theirs.length).toBe(words.length);
    expect(differences(words, theirs)).toEqual([]);
  });
});
