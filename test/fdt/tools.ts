/** The device tree compiler, where it is installed. */
import { spawnSync } from 'node:child_process';
import type { TestContext } from 'vitest';

/** Skips the test, with the reason, where an outside tool is missing. */
export function needsTool(context: TestContext, tool: string): void {
  if (spawnSync(tool, ['--version']).status !== 0) context.skip(`${tool} is not installed`);
}

/** dtc's output. @throws for a warning as for an error */
export function dtc(input: Uint8Array | string, from: 'dtb' | 'dts', to: 'dtb' | 'dts'): Uint8Array {
  // A decompiled source has numbers where a written one has references; only those checks make no sense on the way back.
  const off = ['-W', 'no-interrupts_extended_property', '-W', 'no-msi_parent_property'];
  const checks = from === 'dts' ? off : [];
  const result = spawnSync('dtc', ['-I', from, '-O', to, ...checks], { input, maxBuffer: 2 ** 24 });
  const complaints = result.stderr.toString();
  if (result.status !== 0 || complaints !== '') throw new Error(`dtc: ${complaints}`);
  return new Uint8Array(result.stdout);
}
