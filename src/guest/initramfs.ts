/**
 * The default guest's initramfs: busybox, an /init that ends in an interactive shell, and the few kernel modules that
 * disks and networks need, with the index files for modprobe. /init loads none of them: checking a module's
 * signature costs more than all the rest of the boot, so a user loads what he needs.
 */
import { type CpioEntry, cpio } from './cpio.ts';
import { type KernelModule, modulesAlias, modulesDep } from './kernel-modules.ts';

/** What modprobe in the guest can load; their dependencies come along. `9pnet_virtio` is the transport of 9p. */
export const guestModules: readonly string[] = [
  'virtio_mmio',
  'virtio_blk',
  'virtio_net',
  'ext4',
  '9p',
  '9pnet_virtio',
];

export interface InitramfsParts {
  /** A static busybox for the guest. */
  readonly busybox: Uint8Array;
  /** The kernel's release, as in /lib/modules/<release>. */
  readonly release: string;
  readonly modules: readonly KernelModule[];
  /** The package's modules.builtin, so that modprobe of a built-in one succeeds. */
  readonly modulesBuiltin: Uint8Array;
}

const prompt = '\\u@\\h:\\w\\$ ';

/** The links to busybox are made here because only busybox knows its applets; then its own init takes over. */
const init = `#!/bin/busybox sh
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
hostname -F /etc/hostname
export HOME=/root
exec init
`;

/**
 * A shell on the console, started anew when it ends. cttyhack gives it the console as its controlling terminal, and
 * init its signals, so that Ctrl-C reaches what runs in it.
 */
const inittab = `::respawn:/bin/cttyhack /bin/sh -l
::ctrlaltdel:/sbin/reboot
`;

const profile = `export PATH=/sbin:/usr/sbin:/bin:/usr/bin
export PS1='${prompt}'
alias ll='ls -l'
`;

/** Directories, mode; parents first. */
const directories: readonly (readonly [path: string, mode: number])[] = [
  ['bin', 0o755],
  ['dev', 0o755],
  ['etc', 0o755],
  ['lib', 0o755],
  ['mnt', 0o755],
  ['proc', 0o555],
  ['root', 0o700],
  ['run', 0o755],
  ['sbin', 0o755],
  ['sys', 0o555],
  ['tmp', 0o1777],
  ['usr', 0o755],
  ['usr/bin', 0o755],
  ['usr/sbin', 0o755],
];

/** Small text files, mode. */
const textFiles: readonly (readonly [path: string, mode: number, text: string])[] = [
  ['init', 0o755, init],
  ['etc/group', 0o644, 'root:x:0:\n'],
  ['etc/hostname', 0o644, 'bottomhalf\n'],
  ['etc/hosts', 0o644, '127.0.0.1 localhost bottomhalf\n'],
  ['etc/inittab', 0o644, inittab],
  ['etc/passwd', 0o644, 'root::0:0:root:/root:/bin/sh\n'],
  ['etc/profile', 0o644, profile],
];

/**
 * The kernel's command line for the default guest. Without its two last words the kernel spends two thirds of the boot
 * on self-tests: of every cipher and hash it has built in, and of the jitter random number generator (measured with
 * QEMU's -icount: 0.88, then 0.29 thousand million instructions to the prompt). The random pool is seeded by the
 * device tree; a user who wants either gives his own -append.
 */
export const defaultAppend = 'console=ttyS0 cryptomgr.notests initcall_blacklist=jent_mod_init';

/** The archive as the kernel takes it: not compressed, as unpacking would be the guest's work. */
export function buildInitramfs(parts: InitramfsParts): Uint8Array {
  return cpio([
    ...directories.map(([path, mode]) => ({ path, kind: 'directory', mode }) as const),
    // The kernel opens the console for /init before anything mounts /dev.
    { path: 'dev/console', kind: 'character', mode: 0o600, major: 5, minor: 1 },
    { path: 'dev/null', kind: 'character', mode: 0o666, major: 1, minor: 3 },
    ...textFiles.map(([path, mode, text]) => ({ path, kind: 'file', mode, body: Buffer.from(text) }) as const),
    { path: 'bin/busybox', kind: 'file', mode: 0o755, body: parts.busybox },
    ...moduleTree(parts),
  ]);
}

function moduleTree(parts: InitramfsParts): CpioEntry[] {
  const root = `lib/modules/${parts.release}`;
  const files: { path: string; body: Uint8Array }[] = [
    // Plain: unpacking them in the guest would cost more in every modprobe than their length costs the boot.
    ...parts.modules.map(({ path, body }) => ({ path: `${root}/${path}`, body })),
    { path: `${root}/modules.dep`, body: Buffer.from(modulesDep(parts.modules)) },
    { path: `${root}/modules.alias`, body: Buffer.from(modulesAlias(parts.modules)) },
    { path: `${root}/modules.builtin`, body: parts.modulesBuiltin },
  ];
  const parents = new Set(files.flatMap(({ path }) => parentsOf(path)).filter((path) => path !== 'lib'));
  return [
    ...[...parents].sort().map((path) => ({ path, kind: 'directory', mode: 0o755 }) as const),
    ...files.map(({ path, body }) => ({ path, kind: 'file', mode: 0o644, body }) as const),
  ];
}

/** `a/b/c` -> `a`, `a/b`. */
function parentsOf(path: string): string[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join('/'));
}
