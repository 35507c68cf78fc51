/**
 * The outside tools that tests compare with, from Debian packages. Before the first test, what is missing is installed
 * where this process may do so (root on a Debian system); elsewhere the tests that need a tool are skipped, with that
 * reason.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Package -> a file or command that is there when it is installed. */
const PACKAGES = {
  'device-tree-compiler': 'dtc',
  'gcc-riscv64-unknown-elf': 'riscv64-unknown-elf-gcc',
  'qemu-system-misc': 'qemu-system-riscv64',
  opensbi: '/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin',
  'u-boot-qemu': '/usr/lib/u-boot/qemu-riscv64/u-boot.bin',
} as const;
export type Package = keyof typeof PACKAGES;

function isThere(proof: string): boolean {
  if (proof.startsWith('/')) return existsSync(proof);
  return (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(`${folder}/${proof}`));
}

/** Whether a package's tool can be used; for `describe.skipIf`. */
export function hasTool(name: Package): boolean {
  return isThere(PACKAGES[name]);
}

/** Why a suite that needs the package is skipped. */
export function skipReason(name: Package): string {
  return `needs the Debian package ${name}`;
}

export function setup(): void {
  const missing = Object.entries(PACKAGES).flatMap(([name, proof]) => (isThere(proof) ? [] : [name]));
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || !isThere('apt-get')) {
    process.stderr.write(`Not installed, and only root may: ${missing.join(' ')}. Tests that need them are skipped.\n`);
    return;
  }
  process.stderr.write(`Installing ${missing.join(' ')} ...\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...missing];
  try {
    execFileSync('apt-get', install, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  } catch (error) {
    process.stderr.write(`apt-get could not install them (${String(error)}); tests that need them are skipped.\n`);
  }
}
