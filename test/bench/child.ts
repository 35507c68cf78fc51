/**
 * Measurements that want a process of their own, because the engine must be cold or the process is what is measured:
 *   node child.js TASK JSON
 * prints the result as JSON on standard output. host.ts starts it.
 */
import { readFileSync } from 'node:fs';
import { ARENA, HART_OFFSETS } from '../../src/hart/state.ts';
import { createVm, RAM_DEFAULT_BYTES, type Vm } from '../../src/index.ts';
import { layOutMemory } from '../../src/memory/layout.ts';
import { FLAG_GPA, firstStore, readMarks } from './guest-program.ts';
import { residentMemory, sleep, type ThreadTime, threadTimes } from './host.ts';
import type { BootResult, BootTask, IdleResult, LinuxFiles, StartResult } from './results.ts';
import { PROMPT } from './results.ts';
import { topology } from './topology-child.ts';

const layout = layOutMemory({ vcpus: 1, arenaBytes: ARENA.lengthBytes, ramBytes: RAM_DEFAULT_BYTES });
const [arena = 0] = layout.arenas;
const START_RUNS = 6;
const SETTLE_MS = 2000;
const LONG_MS = 120_000;

/** The machines' memories, in the order they were made: the library shows guest RAM alone, not the hart's counters. */
const memories = spyOnMemories();

const tasks: Readonly<Record<string, (parameters: never) => Promise<object>>> = { loop, start, boot, idle, topology };

async function loop({ elf }: { elf: string }): Promise<object> {
  const vm = await createVm({ kernel: readFileSync(elf), bios: 'none', ramBytes: 64 * 2 ** 20 });
  vm.start();
  await vm.finished;
  const speed = readMarks(vm.memory);
  await vm.stop();
  return speed;
}

/** The first machine of the process, then more of them. */
async function start(): Promise<StartResult> {
  const kernel = firstStore();
  const ms: number[] = [];
  for (let run = 0; run < START_RUNS; run++) {
    const before = performance.now();
    const vm = await createVm({ kernel, bios: 'none' });
    vm.start();
    while (vm.memory.read(FLAG_GPA, 1)[0] !== 1) await sleep(1);
    ms.push(performance.now() - before);
    await vm.stop();
  }
  return { ms };
}

async function boot(task: BootTask): Promise<BootResult> {
  const { ramBytes = RAM_DEFAULT_BYTES, prompt = PROMPT, timeoutMs = LONG_MS } = task;
  const images = readImages(task);
  const before = performance.now();
  const vm = await createVm({ ...images, ramBytes });
  const createdMs = performance.now() - before;
  vm.start();
  await vm.console.expect(prompt, { timeoutMs });
  const promptMs = performance.now() - before;
  const { cpuMs: vcpuCpuMs, waitedMs: vcpuWaitedMs } = vcpuThread();
  const result = { createdMs, promptMs, instructions: instructionsRetired(), vcpuCpuMs, vcpuWaitedMs };
  await vm.stop();
  return { ...result, processCpuMs: cpuMs(process.cpuUsage()) };
}

/** Boots, waits, watches. */
async function idle({ seconds, ...files }: LinuxFiles & { seconds: number }): Promise<IdleResult> {
  const libraryBytes = process.memoryUsage.rss();
  const images = readImages(files);
  const imageBytes = images.kernel.length + images.initrd.length;
  const vm: Vm = await createVm(images);
  vm.start();
  await vm.console.expect(PROMPT, { timeoutMs: LONG_MS });
  await sleep(SETTLE_MS);
  const [before, threadsBefore, instructionsBefore] = [process.cpuUsage(), threadTimes(), instructionsRetired()];
  await sleep(seconds * 1000);
  const usage = cpuMs(process.cpuUsage(before));
  const threads = threadTimes();
  const instructions = instructionsRetired() - instructionsBefore;
  const heap = process.memoryUsage();
  const resident = residentMemory(layout.pages * 65_536, layout.ram, RAM_DEFAULT_BYTES);
  await vm.stop();
  return {
    cpuPercent: usage / (seconds * 10),
    threadPercents: [...threads.values()]
      .map(({ id, cpuMs: ms }) => (ms - (threadsBefore.get(id)?.cpuMs ?? 0)) / (seconds * 10))
      .sort((a, b) => b - a),
    instructionsPerSecond: instructions / seconds,
    resident,
    libraryBytes,
    imageBytes,
    mainHeapBytes: heap.heapTotal,
    mainBuffersBytes: heap.arrayBuffers,
    threads: threads.size,
  };
}

function readImages({ kernel, initrd, append }: LinuxFiles): { kernel: Buffer; initrd: Buffer; append: string } {
  return { kernel: readFileSync(kernel), initrd: readFileSync(initrd), append };
}

/** Of the last machine's hart; exact while it sleeps. */
function instructionsRetired(): number {
  const memory = memories.at(-1);
  if (memory === undefined) throw new Error('no machine was made');
  const view = new DataView(memory.buffer, arena);
  return Number(view.getBigUint64(HART_OFFSETS.instretEnd, true)) - view.getInt32(HART_OFFSETS.remaining, true);
}

function spyOnMemories(): WebAssembly.Memory[] {
  const made: WebAssembly.Memory[] = [];
  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, args) {
      const memory = Reflect.construct(target, args) as WebAssembly.Memory;
      made.push(memory);
      return memory;
    },
  });
  return made;
}

function cpuMs({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000;
}

/** In a boot, the vCPU's thread is whichever has used most besides the main thread. */
function vcpuThread(): ThreadTime {
  const others = [...threadTimes().values()].filter(({ id }) => id !== process.pid);
  return others.sort((a, b) => b.cpuMs - a.cpuMs)[0] ?? { id: 0, cpuMs: Number.NaN, waitedMs: Number.NaN };
}

const [, , name = '', parameters = '{}'] = process.argv;
const task = tasks[name];
if (task === undefined) throw new Error(`no task ${name}`);
process.stdout.write(JSON.stringify(await task(JSON.parse(parameters) as never)));
