/**
 * A Debian root file system with systemd to its login prompt: ours beside QEMU with the same images, interleaved. The root
 * file system is the initramfs (debian-root.ts), so that no disk is needed; unpacking it is part of the time, and the time
 * until then a row of its own. One second of all is nobody's work: agetty sleeps before it prompts on a serial line.
 *
 * Not measured: disks, modules of the kernel (the guest has none), what the guest does once it has prompted.
 */
import { type Boots, bootFigures } from './boot-figures.ts';
import { emulatorsOf, OURS_NAME, QEMU10_NAME } from './cpu-bench.ts';
import { debianRoot } from './debian-root.ts';
import { inChild } from './host.ts';
import type { Context } from './main.ts';
import { nameWith, type OtherNode } from './other-node.ts';
import { type Emulator, ProcessConsole, QEMU } from './process-console.ts';
import { memoryAt, type ProcessMemory } from './process-memory.ts';
import type { Row } from './report.ts';
import type { BootResult, BootTask, LinuxFiles } from './results.ts';
import { HOSTNAME } from './root-files.ts';

const BENCH = 'systemd';
const OURS_INDEX = 0;
const MEMORY = '2G';
const RAM_BYTES = 2 * 2 ** 30;
const TIMEOUT_MS = 280_000;
const INIT_STARTS = 'Run /init as init process';
const LOGIN = `${HOSTNAME} login:`;
const RATIO_BAR = '<= 1.2';
const PAIR_BAR = '<= 1';
/** A dumb terminal is not asked for its size, which nobody here would answer, and has no lines that are drawn anew. */
const APPEND = 'TERM=dumb';

/** @throws Unavailable without the packages; Error where an emulator does not come to the prompt */
export async function systemdBench(context: Context): Promise<Row[]> {
  const { rounds, progress, otherNode } = context;
  const initrd = await debianRoot(process.env, progress);
  const files = { ...context.files, initrd, append: `${context.files.append} ${APPEND}` };
  const emulators = await emulatorsOf(context);
  const results = emulators.map(({ name }) => ({
    emulator: name,
    initMs: [] as number[],
    promptMs: [] as number[],
    memory: [] as ProcessMemory[],
    pairMs: [] as number[],
  }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, emulator] of emulators.entries()) {
      progress(`systemd: round ${round + 1} of ${rounds}, ${emulator.name}`);
      const one = await boot(emulator, files);
      results[index]?.initMs.push(one.initMs);
      results[index]?.promptMs.push(one.promptMs);
      results[index]?.memory.push(...one.memory);
      progress(`systemd: round ${round + 1} of ${rounds}, ${emulator.name}, two harts`);
      results[index]?.pairMs.push((await boot(emulator, files, 2)).promptMs);
    }
  }
  const { rows, summary } = bootFigures(results satisfies Boots[], {
    bench: BENCH,
    prompt: 'the login prompt',
    ours: emulators[OURS_INDEX]?.name ?? '',
    others: emulators.slice(OURS_INDEX + 1).map(({ name }) => ({ emulator: name, ...comparisons(otherNode)[name] })),
  });
  Object.assign(context.summary, summary);
  progress('systemd: instructions');
  return [...rows, ...results.flatMap(besideOne), ...(await inside(files))];
}

/** With two harts, and that beside one, round by round. */
function besideOne({ emulator, promptMs, pairMs }: Boots & { readonly pairMs: readonly number[] }): Row[] {
  const ratios = pairMs.map((ms, round) => ms / (promptMs[round] ?? Number.NaN));
  return [
    { bench: BENCH, name: `${emulator}: to the login prompt with two harts`, unit: 'ms', values: pairMs },
    { bench: BENCH, name: `${emulator}: two harts beside one`, unit: 'x', values: ratios, bar: PAIR_BAR },
  ];
}

/** Who has a bar, and a key in the summary. */
function comparisons(otherNode: OtherNode | undefined): Readonly<Record<string, { bar?: string; key: string }>> {
  return {
    [QEMU.name]: { bar: RATIO_BAR, key: 'RatioVsQemu' },
    [QEMU10_NAME]: { key: 'RatioVsQemu10' },
    ...(otherNode !== undefined && { [nameWith(OURS_NAME, otherNode)]: { key: 'RatioVsNode' } }),
  };
}

async function boot(
  emulator: Emulator,
  files: LinuxFiles,
  harts = 1,
): Promise<{ initMs: number; promptMs: number; memory: ProcessMemory[] }> {
  const guest = new ProcessConsole(emulator.command(files, { memory: MEMORY, harts }));
  try {
    const { atMs: initMs } = await guest.expect(INIT_STARTS, TIMEOUT_MS);
    const { atMs: promptMs } = await guest.expect(LOGIN, TIMEOUT_MS);
    return { initMs, promptMs, memory: memoryAt(guest.pid, RAM_BYTES) };
  } catch (error) {
    throw new Error(`${emulator.name}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await guest.close();
  }
}

/** Once, as it is nearly the same each time. */
async function inside(files: LinuxFiles): Promise<Row[]> {
  const task: BootTask = { ...files, ramBytes: RAM_BYTES, prompt: LOGIN, timeoutMs: TIMEOUT_MS };
  const { instructions, promptMs, vcpuCpuMs, vcpuWaitedMs, processCpuMs } = await inChild<BootResult>('boot', task);
  const row = (name: string, unit: string, value: number): Row => ({ bench: BENCH, name, unit, values: [value] });
  return [
    row('instructions to the login prompt', 'million', instructions / 1e6),
    row('MIPS of the vCPU thread while it runs', 'MIPS', instructions / vcpuCpuMs / 1e3),
    row('MIPS from createVm to the login prompt', 'MIPS', instructions / promptMs / 1e3),
    row('CPU time, vCPU thread', 'ms', vcpuCpuMs),
    row('time the vCPU thread waited for a core', 'ms', vcpuWaitedMs),
    row('CPU time, whole process', 'ms', processCpuMs),
  ];
}
