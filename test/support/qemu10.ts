/**
 * Finds a QEMU that knows all the extensions (10 or later; 7.2 lacks Zfa, Zcb, Zicond, Zawrs, Svadu): the command in
 * BOTTOMHALF_QEMU10, or else the host's own if it is new enough, or else Debian's package in a private prefix.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { debianPrefix } from './debian-prefix.ts';
import type { QemuCommand } from './qemu-programs.ts';

const execute = promisify(execFile);

const VARIABLE = 'BOTTOMHALF_QEMU10';
const PROGRAM = 'qemu-system-riscv64';
const PACKAGE = 'qemu-system-riscv';
const OLDEST = 10;

export type Qemu10 = { readonly command: QemuCommand } | { readonly command: null; readonly reason: string };

/** Never throws: where there is none, the reason to skip with. */
export async function findQemu10(): Promise<Qemu10> {
  const configured = process.env[VARIABLE] ?? '';
  if (configured !== '') return checked(configured.split(/\s+/), VARIABLE);
  if ((await majorVersion([PROGRAM])) >= OLDEST) return { command: [PROGRAM] };
  try {
    const prefix = await debianPrefix('qemu-riscv', [PACKAGE]);
    const modules = `QEMU_MODULE_DIR=${join(prefix.libraries, 'qemu')}`;
    const command = [
      'env',
      modules,
      ...prefix.command(`usr/bin/${PROGRAM}`),
      '-L',
      join(prefix.root, 'usr/share/qemu'),
    ];
    return await checked(command, `Debian's ${PACKAGE}`);
  } catch (error) {
    return { command: null, reason: `no QEMU ${OLDEST}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

async function checked(command: QemuCommand, source: string): Promise<Qemu10> {
  const version = await majorVersion(command);
  if (version >= OLDEST) return { command };
  const found = version === 0 ? 'does not run' : `is version ${version}`;
  return { command: null, reason: `${source} ${found}; QEMU ${OLDEST} is needed` };
}

/** 0 if it cannot be run. */
async function majorVersion([program = '', ...args]: QemuCommand): Promise<number> {
  try {
    const { stdout } = await execute(program, [...args, '--version']);
    return Number(/version (\d+)\./.exec(stdout)?.[1] ?? 0);
  } catch {
    return 0;
  }
}
