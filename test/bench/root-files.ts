/**
 * A Debian root file system out of what its packages hold, without running anything of theirs: the files in one tree with
 * merged /usr, and those that maintainer scripts would have written (base-passwd, base-files, libc-bin, systemd; users of
 * sysusers.d(5)).
 *
 * Not modelled: owners (all is root's), debconf, alternatives, PAM's common files, caches of the dynamic loader and of the
 * hardware database. Enough for a system that boots to its login prompt; nobody logs in.
 */
import type { CpioEntry } from '../../src/guest/cpio.ts';
import type { TarEntry } from '../../src/guest/tar.ts';

export const HOSTNAME = 'debian';

/** Debian's merged /usr; links of base-files lead there, but a package may still name the old place. */
const MERGED = /^(bin|sbin|lib)\//;
const FIRST_DYNAMIC_ID = 999;
const FILE_MODE = 0o644;
const SECRET_MODE = 0o640;
const DIRECTORY_MODE = 0o755;
/** Any; an empty one means a first boot, which sets up what packages have done already. */
const MACHINE_ID = 'b0770000000000000000000000000001';

/** What a script copies from the packages' own files: copy -> file. */
export const COPIES: Readonly<Record<string, string>> = {
  'etc/nsswitch.conf': 'usr/share/libc-bin/nsswitch.conf',
  'etc/profile': 'usr/share/base-files/profile',
  'etc/motd': 'usr/share/base-files/motd',
  'root/.profile': 'usr/share/base-files/dot.profile',
  'root/.bashrc': 'usr/share/base-files/dot.bashrc',
};

/** The accounts every system has. */
export const MASTERS = {
  passwd: 'usr/share/base-passwd/passwd.master',
  group: 'usr/share/base-passwd/group.master',
} as const;

/** The units that systemd's own script enables. The generator of gettys adds that of the console. */
const LINKS: Readonly<Record<string, string>> = {
  init: 'usr/lib/systemd/systemd',
  'etc/systemd/system/getty.target.wants/getty@tty1.service': '/usr/lib/systemd/system/getty@.service',
  'etc/systemd/system/multi-user.target.wants/remote-fs.target': '/usr/lib/systemd/system/remote-fs.target',
  'etc/systemd/system/sysinit.target.wants/systemd-pstore.service': '/usr/lib/systemd/system/systemd-pstore.service',
  // A system that was set up has the cache; without, the loader finds all where it looks by itself.
  'etc/systemd/system/ldconfig.service': '/dev/null',
  'etc/os-release': '../usr/lib/os-release',
  'var/run': '/run',
  'var/lock': '/run/lock',
};

const DIRECTORIES = ['dev', 'mnt', 'opt', 'proc', 'run', 'srv', 'sys', 'var/log/journal'];

const TEXTS: Readonly<Record<string, string>> = {
  'etc/hostname': `${HOSTNAME}\n`,
  'etc/hosts': `127.0.0.1 localhost ${HOSTNAME}\n`,
  'etc/fstab': '',
  'etc/machine-id': `${MACHINE_ID}\n`,
  // As old as all else, which stands for: nothing has changed since it was last brought up to date.
  'etc/.updated': '',
  'var/.updated': '',
};

type Files = Map<string, CpioEntry>;

/** What `addPackage` takes of an archive's header: everything but devices, which a package does not hold. */
export function isRootFile({ kind }: Pick<TarEntry, 'kind'>): boolean {
  return kind !== 'other';
}

/**
 * Adds a file of a package to the tree; a later package's file of the same name wins.
 * @throws Error where a hard link's file has not come before it
 */
export function addPackageFile(files: Files, { path: named, kind, mode, linkPath, body }: TarEntry): void {
  const path = merged(named);
  if (path === '') return;
  if (kind === 'symlink') files.set(path, { path, kind, target: linkPath });
  else if (kind === 'directory') {
    // Two packages may have a directory, and a link in its place is the same directory.
    if (!files.has(path)) files.set(path, { path, kind, mode });
  } else {
    const target = kind === 'hardlink' ? files.get(merged(linkPath.replace(/^(\.?\/)+/, ''))) : undefined;
    if (kind === 'hardlink' && target?.kind !== 'file') throw new Error(`${path} is a link to ${linkPath}, not there`);
    files.set(path, target?.kind === 'file' ? { ...target, path } : { path, kind: 'file', mode, body });
  }
}

function merged(path: string): string {
  return MERGED.test(path) ? `usr/${path}` : path;
}

/**
 * The whole tree: the packages' files and ours, each behind its directory.
 * @param files what addPackageFile has made
 * @throws Error where the packages lack a file that must be there
 */
export function rootEntries(files: ReadonlyMap<string, CpioEntry>): CpioEntry[] {
  const all: Files = new Map(files);
  const add = (path: string, text: string | Uint8Array, mode = FILE_MODE): void => {
    all.set(path, { path, kind: 'file', mode, body: typeof text === 'string' ? Buffer.from(text) : text });
  };
  const textOf = (path: string): string => {
    const entry = files.get(path);
    if (entry?.kind !== 'file') throw new Error(`the packages have no ${path}`);
    return Buffer.from(entry.body).toString('utf8');
  };
  for (const [path, text] of Object.entries(TEXTS)) add(path, text);
  for (const [path, from] of Object.entries(COPIES)) add(path, textOf(from));
  for (const [path, target] of Object.entries(LINKS)) all.set(path, { path, kind: 'symlink', target });
  for (const path of DIRECTORIES) if (!all.has(path)) all.set(path, { path, kind: 'directory', mode: DIRECTORY_MODE });
  const users = [...files.keys()].filter((path) => /^usr\/lib\/sysusers\.d\/[^/]+\.conf$/.test(path)).sort();
  const made = accounts(textOf(MASTERS.passwd), textOf(MASTERS.group), users.map(textOf));
  add('etc/passwd', made.passwd);
  add('etc/group', made.group);
  add('etc/shadow', made.shadow, SECRET_MODE);
  add('etc/gshadow', made.gshadow, SECRET_MODE);
  // The kernel opens it for the first process before that mounts /dev.
  all.set('dev/console', { path: 'dev/console', kind: 'character', mode: 0o600, major: 5, minor: 1 });
  all.set('dev/null', { path: 'dev/null', kind: 'character', mode: 0o666, major: 1, minor: 3 });
  for (const path of [...all.keys()].flatMap(parentsOf)) {
    if (!all.has(path)) all.set(path, { path, kind: 'directory', mode: DIRECTORY_MODE });
  }
  // A directory's name is the beginning of what is in it.
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

export interface Accounts {
  readonly passwd: string;
  readonly group: string;
  readonly shadow: string;
  readonly gshadow: string;
}

/**
 * Users and groups: the masters' and those of sysusers.d(5), of which the lines `u` and `g` with a number or `-` are
 * understood. No account has a password.
 */
export function accounts(passwdMaster: string, groupMaster: string, sysusers: readonly string[]): Accounts {
  const passwd = passwdMaster.trim().split('\n');
  const group = groupMaster.trim().split('\n');
  const has = (lines: readonly string[], name: string): boolean => lines.some((line) => line.startsWith(`${name}:`));
  const taken = new Set([...passwd, ...group].map((line) => line.split(':')[2] ?? ''));
  const free = (): string => {
    let id = FIRST_DYNAMIC_ID;
    while (taken.has(String(id))) id--;
    return String(id);
  };
  for (const line of sysusers.flatMap((text) => text.split('\n'))) {
    const [, type, name = '', number = '-', gecos = '', home, shell] =
      /^(u!?|g)\s+(\S+)(?:\s+(\S+))?(?:\s+("[^"]*"|\S+))?(?:\s+(\S+))?(?:\s+(\S+))?\s*$/.exec(line) ?? [];
    if (type === undefined || has(type === 'g' ? group : passwd, name)) continue;
    const [wanted = '-', ownGroup] = number.split(':');
    const id = wanted === '-' ? free() : wanted;
    taken.add(id);
    if (ownGroup === undefined && !has(group, name)) group.push(`${name}:x:${id}:`);
    if (type === 'g') continue;
    const words = [gecos.replaceAll('"', ''), home ?? '/', shell ?? '/usr/sbin/nologin'].map((w) =>
      w === '-' ? '' : w,
    );
    passwd.push([name, 'x', id, ownGroup ?? id, ...words].join(':'));
  }
  const names = (lines: readonly string[]): string[] => lines.map((line) => line.split(':')[0] ?? '');
  const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');
  return {
    // `*` stands in the masters for: look into the shadow file.
    passwd: lines(passwd.map((line) => line.replace(/^([^:]*):\*:/, '$1:x:'))),
    group: lines(group.map((line) => line.replace(/^([^:]*):\*:/, '$1:x:'))),
    shadow: lines(names(passwd).map((name) => `${name}:*:20000:0:99999:7:::`)),
    gshadow: lines(names(group).map((name) => `${name}:*::`)),
  };
}

/** `a/b/c` -> `a`, `a/b`. */
export function parentsOf(path: string): string[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join('/'));
}
