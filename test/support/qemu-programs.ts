/**
 * Runs generated programs under QEMU, many to a process: guest RAM is a file that both sides have mapped. It holds the
 * programs one behind the other and a small driver, to which every reset of the machine leads: it saves what the last
 * program left, copies the next one to where it wants to be, and jumps. A program ends by a write to the test finisher:
 * the runner makes that a reset, so that each starts on a fresh hart. The last one ends QEMU.
 */
import { spawn } from 'node:child_process';
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { csrNumber } from '../../src/isa/csr-names.ts';
import { CodeBuilder } from './program-builder.ts';
import type { ProgramAia } from './program-imsic.ts';
import { FINISHER, LAYOUT, PROGRAM_BASE, REGION_BYTES, type TestProgram } from './program-layout.ts';

/** The hart of the specification as QEMU calls it: what Bottomhalf has on, everything else that is on by default off. */
const ON = [
  ...['zba', 'zbb', 'zbc', 'zbs', 'zfh', 'zfa', 'zcb', 'zicond', 'zawrs', 'zicbom', 'zicboz', 'zicbop', 'zihintpause'],
  ...['sv39', 'sv48', 'sv57', 'svnapot', 'svinval', 'svpbmt', 'svade', 'svadu', 'sstc'],
];
/** With AIA, and the machine that has an IMSIC, or only an APLIC. */
const AIA_ON = ['smaia=on', 'ssaia=on'];
const AIA_MACHINE: Readonly<Record<ProgramAia, string>> = { none: '', csrs: ',aia=aplic', imsic: ',aia=aplic-imsic' };
const OFF = ['h', 'v', 'b', 'zihintntl', 'smepmp', 'debug'];
const CPU = [
  'rv64',
  ...ON.map((name) => `${name}=on`),
  ...OFF.map((name) => `${name}=off`),
  'pmu-mask=0',
  'mvendorid=0',
  'marchid=0',
  'mimpid=0',
].join(',');

const RAM_BYTES = 256 * 1024 * 1024;
const DRIVER = 0x10_0000;
/** Index of the next program. */
const CONTROL = 0x10_1000;
const SLOTS = 0x20_0000;
const SLOT_BYTES = REGION_BYTES;
/** Programs in one process. */
export const BATCH = Math.floor((RAM_BYTES - SLOTS) / SLOT_BYTES);
/** The comparator of the machine timer, which is due at reset. */
const MTIMECMP = 0x200_4000n;
const START_TIMEOUT_MS = 3000;
const PROGRAM_TIMEOUT_MS = 100;

/** What QEMU left in the program's RAM (imageBytes), or null if the program did not end. */
export type QemuResult = Uint8Array | null;

/** How to start QEMU's system emulator for riscv64: the command and the arguments that come first. */
export type QemuCommand = readonly string[];

/** Runs the programs in order, all on a hart with the same of the AIA. */
export async function runUnderQemu(
  qemu: QemuCommand,
  programs: readonly TestProgram[],
  aia: ProgramAia = 'none',
): Promise<QemuResult[]> {
  const results: QemuResult[] = [];
  const directory = mkdtempSync(join(tmpdir(), 'bottomhalf-qemu-'));
  try {
    while (results.length < programs.length) {
      const batch = nextBatch(programs, results.length);
      results.push(...(await runBatch(qemu, aia, batch, join(directory, 'ram'))));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  return results;
}

/** QEMU's reset does not unlock protection entries: a program that locks any is the last of its process. */
function nextBatch(programs: readonly TestProgram[], from: number): readonly TestProgram[] {
  const lock = programs.findIndex((program, i) => i >= from && program.locks);
  return programs.slice(from, Math.min(from + BATCH, lock < 0 ? programs.length : lock + 1));
}

/** Results up to the first program that does not end, that one included. */
async function runBatch(
  qemu: QemuCommand,
  aia: ProgramAia,
  programs: readonly TestProgram[],
  ram: string,
): Promise<QemuResult[]> {
  const file = openSync(ram, 'w+');
  try {
    ftruncateSync(file, RAM_BYTES);
    for (const [i, program] of programs.entries()) {
      const image = i + 1 < programs.length ? resettingImage(program) : program.image;
      writeSync(file, image, 0, null, slot(i));
    }
    writeSync(file, driver(), 0, null, DRIVER);
    writeSync(file, new Uint8Array(8), 0, null, CONTROL);
    const isFinished = await runToEnd(qemu, aia, ram, programs.length);
    const started = Number(readAt(file, CONTROL, 8).readBigUInt64LE());
    const done = isFinished ? programs.length : Math.max(0, started - 1);
    const results: QemuResult[] = programs.slice(0, done).map((_, i) => {
      const memory = new Uint8Array(readAt(file, i + 1 < programs.length ? slot(i) : 0, LAYOUT.imageBytes));
      new DataView(memory.buffer).setUint32(LAYOUT.exitWord, FINISHER.pass, true);
      return memory;
    });
    if (!isFinished && started === 0) throw new Error('QEMU did not start the first program');
    return isFinished ? results : [...results, null];
  } finally {
    closeSync(file);
  }
}

const slot = (i: number): number => SLOTS + i * SLOT_BYTES;

function resettingImage(program: TestProgram): Uint8Array {
  const image = program.image.slice();
  new DataView(image.buffer).setUint32(LAYOUT.exitWord, FINISHER.reset, true);
  return image;
}

function readAt(file: number, position: number, lengthBytes: number): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(lengthBytes);
  readSync(file, bytes, 0, lengthBytes, position);
  return bytes;
}

/** The program to which every reset leads. */
function driver(): Uint8Array {
  const bytes = new Uint8Array(1024);
  const code = new CodeBuilder(bytes, 0);
  const [controlAt, index, from, to, end, word] = [5, 6, 10, 11, 12, 13] as const;
  const copy = (): void => {
    const start = code.at;
    code.emit('ld', { rd: word, rs1: from, imm: 0 });
    code.emit('sd', { rs2: word, rs1: to, imm: 0 });
    code.emit('addi', { rd: from, rs1: from, imm: 8 });
    code.emit('addi', { rd: to, rs1: to, imm: 8 });
    code.to('bltu', { rs1: to, rs2: end }, start);
  };
  const slotOf = (rd: number): void => {
    code.li(word, BigInt(SLOT_BYTES));
    code.emit('mul', { rd, rs1: index, rs2: word });
    code.li(word, PROGRAM_BASE + BigInt(SLOTS));
    code.emit('add', { rd, rs1: rd, rs2: word });
  };
  // QEMU's reset leaves protection entries as they were.
  for (const csr of ['pmpcfg0', 'pmpcfg2']) code.emit('csrrw', { rd: 0, csr: csrNumber(csr), rs1: 0 });
  code.li(to, MTIMECMP);
  code.li(word, -1n);
  code.emit('sd', { rs2: word, rs1: to, imm: 0 });
  code.li(controlAt, PROGRAM_BASE + BigInt(CONTROL));
  code.emit('ld', { rd: index, rs1: controlAt, imm: 0 });
  const first = code.forward('beq', { rs1: index, rs2: 0 });
  code.emit('addi', { rd: index, rs1: index, imm: -1 });
  slotOf(to);
  code.emit('addi', { rd: index, rs1: index, imm: 1 });
  code.li(from, PROGRAM_BASE);
  code.li(end, BigInt(LAYOUT.imageBytes));
  code.emit('add', { rd: end, rs1: end, rs2: to });
  copy();
  first();
  slotOf(from);
  code.emit('addi', { rd: index, rs1: index, imm: 1 });
  code.emit('sd', { rs2: index, rs1: controlAt, imm: 0 });
  code.li(to, PROGRAM_BASE);
  // The slot is as long as the region, and zero behind the image.
  code.li(end, PROGRAM_BASE + BigInt(REGION_BYTES));
  copy();
  code.emit('fence.i');
  code.li(to, PROGRAM_BASE);
  code.emit('jalr', { rd: 0, rs1: to, imm: 0 });
  return bytes;
}

/** True if QEMU ended by itself, by the last program's write to the finisher; false if a program hung. */
function runToEnd(
  [command = '', ...args]: QemuCommand,
  aia: ProgramAia,
  ram: string,
  programs: number,
): Promise<boolean> {
  const start = `0x${(PROGRAM_BASE + BigInt(DRIVER)).toString(16)}`;
  const backend = `memory-backend-file,id=ram,size=${RAM_BYTES},mem-path=${ram},share=on`;
  const machine = [
    '-object',
    backend,
    '-M',
    `virt,memory-backend=ram${AIA_MACHINE[aia]}`,
    '-m',
    String(RAM_BYTES >> 20),
  ];
  const cpu = ['-cpu', [CPU, ...(aia === 'none' ? [] : AIA_ON)].join(',')];
  const quiet = ['-display', 'none', '-serial', 'none', '-monitor', 'none', '-nodefaults', '-bios', 'none'];
  const loader = ['-device', `loader,addr=${start},cpu-num=0`];
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args, ...machine, ...cpu, ...quiet, ...loader], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const messages: Buffer[] = [];
    let isLate = false;
    const timer = setTimeout(
      () => {
        isLate = true;
        child.kill('SIGKILL');
      },
      START_TIMEOUT_MS + programs * PROGRAM_TIMEOUT_MS,
    );
    child.stderr.on('data', (bytes: Buffer) => messages.push(bytes));
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0 || isLate) resolve(code === 0);
      else reject(new Error(`QEMU failed (${code}): ${Buffer.concat(messages).toString()}`));
    });
  });
}
