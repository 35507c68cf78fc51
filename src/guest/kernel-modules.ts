/**
 * Kernel modules of a package: which ones a list of names needs, and the index files that modprobe reads
 * (modules.dep(5), modules.alias). Debian generates these on installation with depmod; here they come from the
 * modules' own `.modinfo`, for the few modules that are taken.
 * Not modelled: dependencies by symbol without a `depends=` entry, `softdep post:`, modules.symbols.
 */

/** One module, unpacked, as it stands in the package (its signature untouched). */
export interface KernelModule {
  /** As modprobe knows it: `_` for `-`. */
  readonly name: string;
  /** Relative to /lib/modules/<release>, without the ending of a compression. */
  readonly path: string;
  readonly body: Uint8Array;
  /** Names of modules that must be loaded first. */
  readonly depends: readonly string[];
  readonly aliases: readonly string[];
}

/**
 * What a soft dependency names is often no module but something that several can provide. Only the portable
 * implementation is taken.
 */
const providers: Readonly<Record<string, string>> = { 'crypto-crc32c': 'crc32c_generic', crc32c: 'crc32c_generic' };

const modulePath = /^.*\/?usr\/lib\/modules\/[^/]+\/(.*\/([^/]+)\.ko)(?:\.xz|\.gz|\.zst)?$/;

/** Splits a package's path of a module into name and path under /lib/modules/<release>; undefined for other files. */
export function parseModulePath(path: string): { name: string; path: string } | undefined {
  const [, relative, name] = modulePath.exec(path) ?? [];
  return relative === undefined || name === undefined ? undefined : { name: canonicalName(name), path: relative };
}

/**
 * The wanted modules and all they depend on, each after what it needs.
 * @param read unpacks a module by name; undefined when the package has none of that name (it may be built in)
 * @throws Error when a wanted module or a dependency is missing
 */
export async function closeOverDependencies(
  wanted: readonly string[],
  read: (name: string) => Promise<{ path: string; body: Uint8Array } | undefined>,
): Promise<KernelModule[]> {
  const ordered = new Map<string, KernelModule>();
  const visit = async (name: string, neededBy: readonly string[]): Promise<void> => {
    if (ordered.has(name)) return;
    if (neededBy.includes(name)) throw new Error(`kernel modules depend on each other: ${[...neededBy, name]}`);
    const file = await read(name);
    if (file === undefined) throw new Error(`the kernel package has no module ${[...neededBy, name].join(' -> ')}`);
    const info = moduleInfo(file.body);
    const hard = info('depends')
      .flatMap((list) => list.split(','))
      .map(canonicalName);
    const soft: string[] = [];
    for (const candidate of info('softdep').flatMap(softDependencies)) {
      // A soft dependency that the package lacks is built in or not needed: that is what makes it soft.
      if ((await read(candidate)) !== undefined) soft.push(candidate);
    }
    const depends = [...hard, ...soft].filter((dependency) => dependency !== '');
    for (const dependency of depends) await visit(dependency, [...neededBy, name]);
    ordered.set(name, { name, path: file.path, body: file.body, depends, aliases: info('alias') });
  };
  for (const name of wanted) await visit(canonicalName(name), []);
  return [...ordered.values()];
}

/** modules.dep: a module, and everything that must be loaded before it, the last one first. */
export function modulesDep(modules: readonly KernelModule[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const before = (module: KernelModule, seen: Set<string>): string[] => {
    for (const name of module.depends) {
      const dependency = byName.get(name);
      if (dependency === undefined || seen.has(dependency.path)) continue;
      before(dependency, seen);
      seen.add(dependency.path);
    }
    return [...seen];
  };
  return modules.map((module) => `${[`${module.path}:`, ...before(module, new Set()).reverse()].join(' ')}\n`).join('');
}

/** modules.alias: what the kernel asks for when a device or a file system appears, and the module that serves it. */
export function modulesAlias(modules: readonly KernelModule[]): string {
  return modules.flatMap(({ name, aliases }) => aliases.map((alias) => `alias ${alias} ${name}\n`)).join('');
}

/** `pre: a b post: c` -> names of modules before this one. */
function softDependencies(value: string): string[] {
  const names = /(?:^|\s)pre:\s*(.*?)(?:\s*post:|$)/.exec(value)?.[1]?.split(/\s+/) ?? [];
  return names.filter((name) => name !== '').map((name) => providers[name] ?? canonicalName(name));
}

function canonicalName(name: string): string {
  return name.trim().replaceAll('-', '_');
}

/** Elf64_Ehdr and Elf64_Shdr offsets in bytes. */
const elf = { shoff: 40, shentsize: 58, shnum: 60, shstrndx: 62, name: 0, offset: 24, size: 32, machine: 18 } as const;
const elfMagic = 0x464c457f;
const elfMachineRiscv = 243;

/**
 * Looks into the section `.modinfo`, a list of NUL-terminated `key=value`.
 * @returns a function from a key to all its values
 * @throws Error when the bytes are no RISC-V ELF file with such a section
 */
function moduleInfo(body: Uint8Array): (key: string) => string[] {
  const section = findSection(body, '.modinfo');
  const entries = Buffer.from(section).toString('latin1').split('\0');
  return (key) => entries.filter((entry) => entry.startsWith(`${key}=`)).map((entry) => entry.slice(key.length + 1));
}

function findSection(body: Uint8Array, wanted: string): Uint8Array {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  try {
    if (view.getUint32(0, true) !== elfMagic || view.getUint16(elf.machine, true) !== elfMachineRiscv) {
      throw new RangeError('no ELF file for RISC-V');
    }
    const tableOffset = Number(view.getBigUint64(elf.shoff, true));
    const entryBytes = view.getUint16(elf.shentsize, true);
    const at = (index: number, field: number): number => tableOffset + index * entryBytes + field;
    const range = (index: number): Uint8Array => {
      const offset = Number(view.getBigUint64(at(index, elf.offset), true));
      return body.subarray(offset, offset + Number(view.getBigUint64(at(index, elf.size), true)));
    };
    const names = Buffer.from(range(view.getUint16(elf.shstrndx, true)));
    for (let index = 0; index < view.getUint16(elf.shnum, true); index++) {
      const start = view.getUint32(at(index, elf.name), true);
      if (names.toString('latin1', start, start + wanted.length + 1) === `${wanted}\0`) return range(index);
    }
    throw new RangeError(`no section ${wanted}`);
  } catch (error) {
    throw new Error('a damaged kernel module', { cause: error });
  }
}
