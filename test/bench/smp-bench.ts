/** Several harts: what two compute beside one, what they cost each other, and how soon all of them stand. */
import { createVm } from '../../src/index.ts';
import { assemble } from '../../src/isa/asm.ts';
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
import {
  compute,
  ipis,
  ipisToItself,
  msis,
  msisToItself,
  RAM_BASE,
  RESULTS_GPA,
  reads,
  SAMPLES,
  TURNS,
  WARM_UP_EVENTS,
} from './smp-programs.ts';

const KERNEL_GPA = RAM_BASE + 0x20_0000;
const RAM_BYTES = 64 * 2 ** 20;
const TICK_NS = 100;
const EVENTS: Samples = { warmUp: WARM_UP_EVENTS, count: SAMPLES };
const IMSIC = { bios: 'none', aia: 'aplic-imsic' } as const;
const BOOT_TIMEOUT_MS = 180_000;

/** @property middle mean of the middle half: what a guest times with a clock of 100 ns is finer in it than in the median */
type Figures = { readonly median: number; readonly middle: number; readonly p99: number };

function figures(samples: readonly number[]): Figures {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
  const half = sorted.slice(sorted.length >> 2, sorted.length - (sorted.length >> 2));
  return { median: at(0.5), middle: half.reduce((sum, one) => sum + one, 0) / half.length, p99: at(0.99) };
}

const row = (bench: string, name: string, unit: string, values: readonly number[], bar?: string): Row => ({
  ...{ bench, name, unit, values },
  ...(bar !== undefined && { bar }),
});

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

interface Latency {
  readonly name: string;
  run(): Promise<number[]>;
  /** Name of what the same takes on one hart. */
  readonly itself?: string;
}

const BARE_MEAN = '  mean of 50 and 50';
const MSI_TO_ITSELF = 'MSI of a hart to itself';
const IPI_TO_ITSELF = 'IPI of a hart to itself';
const HOT = 'addi t0, t0, 1';

const LATENCIES: readonly Latency[] = [
  { name: 'bare: round trip on a shared word', run: () => bareTrips(EVENTS) },
  { name: BARE_MEAN, run: () => bareTrips({ ...EVENTS, batch: 50 }) },
  { name: 'bare: round trip of a record', run: () => bareRecordTrips(EVENTS) },
  { name: 'register of a hart in WFI read', run: () => latencies(reads('wfi'), { bios: 'none' }, RAM_BASE) },
  { name: 'register of a hart in a hot loop read', run: () => latencies(reads(HOT), { bios: 'none' }, RAM_BASE) },
  { name: 'bare: round trip of two threads that park', run: () => bareParkedTrips(EVENTS) },
  { name: MSI_TO_ITSELF, run: () => latencies(msisToItself, IMSIC, RAM_BASE) },
  ...[
    { name: 'MSI to a hart in WFI, one way', run: () => latencies(msis('wfi'), IMSIC, RAM_BASE) },
    { name: 'MSI to a hart in a hot loop, one way', run: () => latencies(msis(HOT), IMSIC, RAM_BASE) },
  ].map((one) => ({ ...one, itself: MSI_TO_ITSELF })),
  { name: IPI_TO_ITSELF, run: () => latencies(ipisToItself, {}, KERNEL_GPA) },
  ...[
    { name: 'IPI (signal) to a hart in WFI, one way', run: () => latencies(ipis('wfi'), {}, KERNEL_GPA) },
    { name: 'IPI (signal) to a hart in a hot loop, one way', run: () => latencies(ipis(HOT), {}, KERNEL_GPA) },
  ].map((one) => ({ ...one, itself: IPI_TO_ITSELF })),
];

/** What harts cost each other. An interrupt's way is what it takes less what one to the same hart takes: the guest's part. */
async function latencyRows(rounds: number, progress: Context['progress']): Promise<Row[]> {
  const found = new Map<string, Figures[]>(LATENCIES.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    progress(`smp: latencies ${round + 1} of ${rounds}`);
    for (const { name, run } of LATENCIES) found.get(name)?.push(figures(await run()));
  }
  const all = (name: string): Figures[] => found.get(name) ?? [];
  return LATENCIES.flatMap(({ name, itself }) => {
    const ns = all(name);
    const rows = [
      row(
        'smp',
        name,
        'ns',
        ns.map(({ median }) => median),
      ),
      row(
        'smp',
        '  p99',
        'ns',
        ns.map(({ p99 }) => p99),
      ),
    ];
    if (itself === undefined) return rows;
    const ways = ns.map(({ middle }, i) => middle - (all(itself)[i]?.middle ?? Number.NaN));
    const ratios = ways.map((way, i) => (way * 2) / (all(BARE_MEAN)[i]?.middle ?? Number.NaN));
    return [
      ...rows,
      row('smp', '  of it between the threads', 'ns', ways),
      row('smp', '  beside half a bare round trip', 'x', ratios, '<= 1.5'),
    ];
  });
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
  rows.push(...(await latencyRows(rounds, progress)));
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
