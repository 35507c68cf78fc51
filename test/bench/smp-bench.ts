/** Several harts: what two compute beside one, what they cost each other, and how soon all of them stand. */
import { createVm } from '../../src/index.ts';
import { assemble } from '../../src/isa/asm.ts';
import { sbiExtension } from '../../src/sbi/extensions.ts';
import {
  acknowledgements,
  bareParkedTrips,
  bareRecordTrips,
  bareThroughput,
  bareTrips,
  type Samples,
} from './bare-threads.ts';
import { sleep } from './host.ts';
import type { Context } from './main.ts';
import { type Emulator, ProcessConsole } from './process-console.ts';
import type { Row } from './report.ts';
import { type LinuxFiles, PROMPT } from './results.ts';

const RAM_BASE = 0x8000_0000;
const KERNEL_GPA = RAM_BASE + 0x20_0000;
const RESULTS_GPA = RAM_BASE + 0x40_0000;
const RAM_BYTES = 64 * 2 ** 20;
const TICK_NS = 100;
const SAMPLES = 2000;
const WARM_UP_EVENTS = 60_000;
const EVENTS: Samples = { warmUp: WARM_UP_EVENTS, count: SAMPLES };
const TURNS = 2_000_000_000;
const IMSIC = { bios: 'none', aia: 'aplic-imsic' } as const;
const BOOT_TIMEOUT_MS = 180_000;

type Figures = { readonly median: number; readonly p99: number };

function figures(samples: readonly number[]): Figures {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
  return { median: at(0.5), p99: at(0.99) };
}

const row = (bench: string, name: string, unit: string, values: readonly number[], bar?: string): Row => ({
  ...{ bench, name, unit, values },
  ...(bar !== undefined && { bar }),
});

/** Each hart runs a loop and notes begin and end, once all have come: threads start one after the other. */
const compute = (harts: number): string => `
  li s0, ${RESULTS_GPA - 64}
  li t0, 1
  amoadd.d t0, t0, (s0)
gate:
  ld t0, 0(s0)
  li t1, ${harts}
  bne t0, t1, gate
  slli t0, a0, 4
  li s0, ${RESULTS_GPA}
  add s1, s0, t0
  rdtime t0
  sd t0, 16(s1)
  li t1, ${TURNS}
again:
  addi t2, t2, 3
  xor t3, t2, t1
  addi t1, t1, -1
  bnez t1, again
  rdtime t0
  sd t0, 24(s1)
halt: wfi
  j halt
`;

async function results(kernel: Uint8Array, options: object, count: number, isDone: (values: bigint[]) => boolean) {
  const vm = await createVm({ kernel, ramBytes: RAM_BYTES, ...options });
  vm.start();
  for (;;) {
    await sleep(20);
    const bytes = vm.memory.read(RESULTS_GPA, count * 8);
    const values = [...new BigUint64Array(bytes.buffer, bytes.byteOffset, count)];
    if (!isDone(values)) continue;
    await vm.stop();
    return values.map(Number);
  }
}

/** @returns turns of the loop in a microsecond, all harts together */
async function throughput(harts: number): Promise<number> {
  const { bytes } = assemble(compute(harts), { base: RAM_BASE });
  const done = (values: bigint[]): boolean =>
    Array.from({ length: harts }, (_, hart) => values[3 + hart * 2]).every((end) => end !== undefined && end > 0n);
  const values = await results(bytes, { bios: 'none', harts }, 2 + harts * 2, done);
  const begins = Array.from({ length: harts }, (_, hart) => values[2 + hart * 2] ?? 0);
  const ends = Array.from({ length: harts }, (_, hart) => values[3 + hart * 2] ?? 0);
  return (harts * TURNS * 1000) / ((Math.max(...ends) - Math.min(...begins)) * TICK_NS);
}

/** Notes the ticks in t0, of the last SAMPLES events only; goes on at `next` as long as there are some left. */
const NOTE = `
  addi t0, t0, 1
  sd t0, 0(s1)
  addi s2, s2, -1
  li t6, ${SAMPLES}
  bgeu s2, t6, next
  addi s1, s1, 8
  bnez s2, next
halt: wfi
  j halt
`;
const TO_NOTE = `
  li s1, ${RESULTS_GPA}
  li s2, ${WARM_UP_EVENTS + SAMPLES}
`;

/** Hart 1 reads a register on hart 0's thread again and again, and notes how long each took. */
const reads = (hart0: string): string => `
  bnez a0, reader
rest: ${hart0}
  j rest
reader:
  li s0, 0x10000005
  ${TO_NOTE}
next:
  rdtime t1
  lbu t2, 0(s0)
  rdtime t0
  sub t0, t0, t1
  ${NOTE}
`;

/**
 * Hart 0 sends something again and again, and notes how long it took until hart 1's handler noted the time.
 * @param send an instruction or some, at which time starts
 */
const sendsTo = (send: string): string => `
  li s0, ${RESULTS_GPA - 64}
  li s3, 0
  ${TO_NOTE}
ready:
  ld t0, 16(s0)
  beqz t0, ready
next:
  li t0, 3000               # it has gone back to what it was doing
pause:
  addi t0, t0, -1
  bnez t0, pause
  rdtime s4
  ${send}
  addi s3, s3, 1
taken:
  ld t0, 0(s0)
  bne t0, s3, taken
  ld t0, 8(s0)
  sub t0, t0, s4
  ${NOTE}
`;

/** The other side: what hart 1 does until it is told, and a handler that acknowledges and notes the time. */
const isTold = (hart1: string, acknowledge: string, back: string): string => `
  li s0, ${RESULTS_GPA - 64}
  li t0, 1
  sd t0, 16(s0)
rest: ${hart1}
  j rest
.align 3
handler:
  rdtime t0
  ${acknowledge}
  sd t0, 8(s0)
  ld t0, 0(s0)
  addi t0, t0, 1
  sd t0, 0(s0)
  ${back}
`;

/** Hart 0 sends IPIs through the SBI to hart 1, whose handler notes the time. */
const ipis = (hart1: string): string => `
  li a0, 1
  la a1, other
  li a2, 0
  li a7, ${sbiExtension.hsm}
  li a6, 0
  ecall
  ${sendsTo(`
    li a0, 2
    li a1, 0
    li a7, ${sbiExtension.ipi}
    li a6, 0
    ecall
  `)}
other:
  la t0, handler
  csrw stvec, t0
  csrwi sie, 2
  csrsi sstatus, 2
  ${isTold(hart1, 'csrci sip, 2', 'sret')}
`;

/** Hart 0 writes to the M-level interrupt file of hart 1, whose handler claims and notes the time. */
const msis = (hart1: string): string => `
  bnez a0, other
  li s5, 0x24001000
  li s6, 5
  ${sendsTo('sw s6, 0(s5)')}
other:
  la t0, handler
  csrw mtvec, t0
  li t0, 0x70               # eidelivery
  csrw miselect, t0
  li t1, 1
  csrw mireg, t1
  li t0, 0xc0               # eie0
  csrw miselect, t0
  li t1, 32
  csrw mireg, t1
  li t0, 2048
  csrw mie, t0
  csrsi mstatus, 8
  ${isTold(hart1, 'csrrw t1, mtopei, x0', 'mret')}
`;

async function latencies(source: string, options: object, base: number): Promise<number[]> {
  const { bytes } = assemble(source, { base });
  const all = await results(bytes, { harts: 2, ...options }, SAMPLES, (values) => values.at(-1) !== 0n);
  return all.map((ticks) => (ticks - 1) * TICK_NS);
}

async function bootMs(emulator: Emulator, files: LinuxFiles, harts: number): Promise<number> {
  const guest = new ProcessConsole(emulator.command(files, { harts }));
  try {
    return (await guest.expect(PROMPT, BOOT_TIMEOUT_MS)).atMs;
  } finally {
    await guest.close();
  }
}

export async function smpBench({ rounds, files, emulators, progress }: Context): Promise<Row[]> {
  const rows: Row[] = [];
  const [one, two, bare]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    progress(`smp: throughput ${round + 1} of ${rounds}`);
    one.push(await throughput(1));
    two.push(await throughput(2));
    bare.push((1 / (await bareThroughput(1))) * (await bareThroughput(2)));
  }
  rows.push(
    row('smp', 'loop turns, one hart', 'million/s', one),
    row('smp', 'loop turns, two harts', 'million/s', two),
  );
  rows.push(
    row(
      'smp',
      'two beside one',
      'x',
      two.map((value, i) => value / (one[i] ?? Number.NaN)),
      '>= 1.9',
    ),
    row('smp', '  bare: two threads beside one', 'x', bare),
  );
  const kinds = [
    ['bare: round trip on a shared word', () => bareTrips(EVENTS)],
    ['bare: round trip of a record', () => bareRecordTrips(EVENTS)],
    ['register of a hart in WFI read', () => latencies(reads('wfi'), { bios: 'none' }, RAM_BASE)],
    ['register of a hart in a hot loop read', () => latencies(reads('addi t0, t0, 1'), { bios: 'none' }, RAM_BASE)],
    ['bare: round trip of two threads that park', () => bareParkedTrips(EVENTS)],
    ['MSI to a hart in WFI, one way', () => latencies(msis('wfi'), IMSIC, RAM_BASE)],
    ['MSI to a hart in a hot loop, one way', () => latencies(msis('addi t0, t0, 1'), IMSIC, RAM_BASE)],
    ['IPI (signal) to a hart in WFI, one way', () => latencies(ipis('wfi'), {}, KERNEL_GPA)],
    ['IPI (signal) to a hart in a hot loop, one way', () => latencies(ipis('addi t0, t0, 1'), {}, KERNEL_GPA)],
  ] as const;
  const found = kinds.map((): { median: number[]; p99: number[] } => ({ median: [], p99: [] }));
  for (let round = 0; round < rounds; round++) {
    progress(`smp: latencies ${round + 1} of ${rounds}`);
    for (const [index, [, run]] of kinds.entries()) {
      const { median, p99 } = figures(await run());
      found[index]?.median.push(median);
      found[index]?.p99.push(p99);
    }
  }
  for (const [index, [name]] of kinds.entries()) {
    rows.push(row('smp', name, 'ns', found[index]?.median ?? []), row('smp', '  p99', 'ns', found[index]?.p99 ?? []));
  }
  for (const emulator of emulators) {
    const times = [1, 2].map((): number[] => []);
    for (let round = 0; round < rounds; round++) {
      progress(`smp: boot of ${emulator.name} ${round + 1} of ${rounds}`);
      for (const [index, list] of times.entries()) list.push(await bootMs(emulator, files, index + 1));
    }
    const [single = [], pair = []] = times;
    rows.push(
      row('smp', `${emulator.name}: boot, one hart`, 'ms', single),
      row('smp', `${emulator.name}: boot, two`, 'ms', pair),
    );
    const ratios = pair.map((ms, i) => ms / (single[i] ?? Number.NaN));
    rows.push(row('smp', `${emulator.name}: two beside one`, 'x', ratios, '<= 1'));
  }
  return rows;
}

const PAUSES = 1000;
/** Before them: by then V8 has optimised the way of a pause as well. */
const WARM_UP_PAUSES = 500;
const WARM_UP_MS = 2000;
const SPIN = assemble('again: addi t0, t0, 1\nj again', { base: RAM_BASE }).bytes;

async function pauses(harts: number): Promise<number[]> {
  const vm = await createVm({ kernel: SPIN, bios: 'none', ramBytes: RAM_BYTES, harts });
  vm.start();
  await sleep(WARM_UP_MS);
  const samples: number[] = [];
  for (let i = 0; i < WARM_UP_PAUSES + PAUSES; i++) {
    const before = performance.now();
    await vm.pause();
    samples.push(performance.now() - before);
    vm.resume();
    await sleep(1);
  }
  await vm.stop();
  return samples.slice(WARM_UP_PAUSES);
}

export async function pauseBench({ rounds, progress }: Context): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [harts, bar] of [
    [1, '< 5'],
    [2, '< 5'],
    [8, '<= 1.5 x bare'],
  ] as const) {
    const [ours, bare]: [Figures[], Figures[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      progress(`pause: ${harts} harts, ${round + 1} of ${rounds}`);
      ours.push(figures(await pauses(harts)));
      bare.push(figures(await acknowledgements(harts, { warmUp: WARM_UP_PAUSES, count: PAUSES })));
    }
    rows.push(
      row(
        'pause',
        `${harts} harts, median`,
        'ms',
        ours.map(({ median }) => median),
      ),
    );
    rows.push(
      row(
        'pause',
        '  p99',
        'ms',
        ours.map(({ p99 }) => p99),
        bar,
      ),
    );
    rows.push(
      row(
        'pause',
        `  bare: ${harts} threads acknowledge, median`,
        'ms',
        bare.map(({ median }) => median),
      ),
    );
    rows.push(
      row(
        'pause',
        '  p99',
        'ms',
        bare.map(({ p99 }) => p99),
      ),
    );
  }
  return rows;
}
