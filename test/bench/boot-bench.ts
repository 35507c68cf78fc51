/** Debian's kernel to the prompt: ours beside QEMU with the same images, interleaved. */

import { inChild } from './host.ts';
import type { Context } from './main.ts';
import { type Emulator, OURS, ProcessConsole } from './process-console.ts';
import type { Row } from './report.ts';
import { type BootResult, type LinuxFiles, PROMPT } from './results.ts';

const TIMEOUT_MS = 180_000;

export async function bootBench({ files, emulators, rounds, progress }: Context): Promise<Row[]> {
  const processMs = new Map(emulators.map(({ name }): [string, number[]] => [name, []]));
  const inside: BootResult[] = [];
  for (let round = 0; round < rounds; round++) {
    progress(`boot: round ${round + 1} of ${rounds}`);
    for (const emulator of emulators) processMs.get(emulator.name)?.push(await promptMs(emulator, files));
    inside.push(await inChild<BootResult>('boot', files));
  }
  const rows: Row[] = [];
  const row = (name: string, unit: string, values: readonly number[], bar?: string): void => {
    rows.push({ bench: 'boot', name, unit, values, ...(bar !== undefined && { bar }) });
  };
  for (const [name, values] of processMs) row(`${name}: process start to prompt`, 'ms', values);
  const pick = (key: keyof BootResult): number[] => inside.map((result) => result[key]);
  row('bottomhalf: createVm to prompt', 'ms', pick('promptMs'));
  row('bottomhalf: createVm alone', 'ms', pick('createdMs'));
  const ours = processMs.get(OURS.name) ?? [];
  for (const [name, values] of processMs) {
    if (name === OURS.name) continue;
    const ratios = ours.map((ms, round) => ms / (values[round] ?? Number.NaN));
    row(`ratio to ${name}, process to prompt`, 'x', ratios, '<= 8');
    row(
      `ratio to ${name}, createVm to prompt`,
      'x',
      inside.map((one, i) => one.promptMs / (values[i] ?? Number.NaN)),
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

async function promptMs(emulator: Emulator, files: LinuxFiles): Promise<number> {
  const guest = new ProcessConsole(emulator.command(files));
  try {
    return (await guest.expect(PROMPT, TIMEOUT_MS)).atMs;
  } finally {
    await guest.close();
  }
}
