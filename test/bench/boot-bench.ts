/** Debian's kernel to the prompt: ours beside QEMU with the same images, interleaved; and the memory there. */

import { RAM_DEFAULT_BYTES } from '../../src/index.ts';
import { type Boots, bootFigures } from './boot-figures.ts';
import { inChild } from './host.ts';
import type { Context } from './main.ts';
import { nameWith } from './other-node.ts';
import { type Emulator, OURS, ours, ProcessConsole, QEMU } from './process-console.ts';
import { memoryAt, type ProcessMemory } from './process-memory.ts';
import type { Row } from './report.ts';
import { type BootResult, type LinuxFiles, PROMPT } from './results.ts';

const BENCH = 'boot';
const TIMEOUT_MS = 180_000;
const RATIO_BAR = '<= 1';

export async function bootBench({ files, emulators, otherNode, rounds, summary, progress }: Context): Promise<Row[]> {
  const withNode = otherNode && ours(nameWith(OURS.name, otherNode), undefined, otherNode.path);
  const all = withNode === undefined ? emulators : [...emulators, withNode];
  const boots = all.map(({ name }) => ({
    emulator: name,
    initMs: [],
    promptMs: [] as number[],
    memory: [] as ProcessMemory[],
  }));
  const inside: BootResult[] = [];
  for (let round = 0; round < rounds; round++) {
    progress(`boot: round ${round + 1} of ${rounds}`);
    for (const [index, emulator] of all.entries()) {
      const one = await toPrompt(emulator, files);
      boots[index]?.promptMs.push(one.promptMs);
      boots[index]?.memory.push(...one.memory);
    }
    inside.push(await inChild<BootResult>('boot', files));
  }
  const figures = bootFigures(boots satisfies Boots[], {
    bench: BENCH,
    prompt: 'prompt',
    ours: OURS.name,
    others: all
      .filter(({ name }) => name !== OURS.name)
      .map(({ name }) => ({
        emulator: name,
        ...(name !== withNode?.name && { bar: RATIO_BAR }),
        ...(name === QEMU.name && { key: 'RatioVsQemu' }),
        ...(name === withNode?.name && { key: 'RatioVsNode' }),
      })),
  });
  Object.assign(summary, figures.summary);
  return [...figures.rows, ...insideRows(inside, boots)];
}

/** What only the machine itself knows. */
function insideRows(inside: readonly BootResult[], boots: readonly Boots[]): Row[] {
  const rows: Row[] = [];
  const row = (name: string, unit: string, values: readonly number[], bar?: string): void => {
    rows.push({ bench: BENCH, name, unit, values, ...(bar !== undefined && { bar }) });
  };
  const pick = (key: keyof BootResult): number[] => inside.map((result) => result[key]);
  row('bottomhalf: createVm to prompt', 'ms', pick('promptMs'));
  row('bottomhalf: createVm alone', 'ms', pick('createdMs'));
  for (const { emulator, promptMs } of boots) {
    if (emulator.startsWith(OURS.name)) continue;
    row(
      `ratio to ${emulator}, createVm to prompt`,
      'x',
      inside.map((one, i) => one.promptMs / (promptMs[i] ?? Number.NaN)),
    );
  }
  const instructions = pick('instructions');
  row(
    'instructions to the prompt',
    'million',
    instructions.map((count) => count / 1e6),
  );
  row(
    'MIPS of the vCPU thread while it runs',
    'MIPS',
    inside.map((one) => one.instructions / one.vcpuCpuMs / 1e3),
    '>= 100',
  );
  row(
    'MIPS from createVm to prompt',
    'MIPS',
    inside.map((one) => one.instructions / one.promptMs / 1e3),
  );
  row('CPU time, vCPU thread', 'ms', pick('vcpuCpuMs'));
  row('time the vCPU thread waited for a core', 'ms', pick('vcpuWaitedMs'));
  row('CPU time, whole process', 'ms', pick('processCpuMs'));
  return rows;
}

async function toPrompt(emulator: Emulator, files: LinuxFiles): Promise<{ promptMs: number; memory: ProcessMemory[] }> {
  const guest = new ProcessConsole(emulator.command(files));
  try {
    const { atMs: promptMs } = await guest.expect(PROMPT, TIMEOUT_MS);
    return { promptMs, memory: memoryAt(guest.pid, RAM_DEFAULT_BYTES) };
  } finally {
    await guest.close();
  }
}
