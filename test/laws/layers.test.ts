/** Who may import whom. */
import { describe, expect, it } from 'vitest';
import { isListed, type Source, sources } from './sources.ts';

/**
 * The layers, lowest first, each with what it may import beside itself. A folder that is not listed here may not exist:
 * say where it belongs first. `types:` allows only types of a layer.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  machines: ['types:src/util', 'types:src/loop', 'types:src/actor'],
  'src/util': [],
  'src/memory': ['src/util'],
  'src/isa': ['src/memory', 'src/util'],
  'src/wasm': ['src/util'],
  'src/hart': ['src/isa', 'src/memory', 'src/wasm', 'src/util'],
  'src/jit': ['src/hart', 'src/isa', 'src/memory', 'src/wasm', 'src/util'],
  'src/channel': ['src/memory', 'src/util'],
  'src/loop': ['src/channel', 'src/util'],
  'src/actor': ['machines', 'src/loop', 'src/channel', 'src/util'],
  'src/bus': ['src/actor', 'src/loop', 'src/channel', 'src/memory', 'src/util'],
  'src/dma': ['src/bus', 'src/actor', 'src/loop', 'src/channel', 'src/memory', 'src/util'],
  'src/pci': ['src/bus', 'src/dma', 'src/actor', 'src/loop', 'src/util'],
  'src/fdt': ['src/util'],
  'src/snapshot': ['src/channel', 'src/util'],
  'src/sbi': ['src/bus', 'src/actor', 'src/loop', 'src/isa', 'src/memory', 'src/util'],
  'src/boot': ['src/fdt', 'src/bus', 'src/isa', 'src/memory', 'src/util'],
  'src/guest': ['src/util'],
  actors: [
    'machines',
    'src/sbi',
    'src/boot',
    'src/fdt',
    'src/pci',
    'src/dma',
    'src/bus',
    'src/actor',
    'src/loop',
    'src/channel',
    'src/jit',
    'src/hart',
    'src/isa',
    'src/memory',
    'src/util',
  ],
  /** The library's own files, directly in src/. */
  src: [
    'actors',
    'machines',
    'src/sbi',
    'src/boot',
    'src/fdt',
    'src/dma',
    'src/bus',
    'src/actor',
    'src/loop',
    'src/channel',
    'src/snapshot',
  ].concat(['src/jit', 'src/hart', 'src/isa', 'src/memory', 'src/util']),
  'src/cli': ['src', 'src/guest', 'src/boot', 'src/isa', 'src/util'],
};

/** Those that spawn other actors, and so import them; and the list of them all. */
const PARENTS = ['actors/board/', 'actors/cpu/vcpu-thread.ts', 'actors/devices.ts'];

/** Plain data that any actor may derive from. */
const TABLES = ['actors/board/virt-table.ts'];

/** Packages and built-in modules that only some may import, and whoever may. */
const RESERVED: readonly { readonly modules: RegExp; readonly users: readonly string[]; readonly why: string }[] = [
  { modules: /^(xstate|rxjs)(\/|$)/, users: ['machines/', 'src/actor/'], why: 'met in one place when they change' },
  {
    modules: /^(node:)?worker_threads$/,
    users: ['src/channel/', 'src/actor/'],
    why: 'a placement is no business of others',
  },
  {
    modules: /^(node:)?(fs|net|child_process|http|https|dgram|tls|os)(\/|$)/,
    users: [
      'src/cli/',
      'src/guest/',
      'src/hart/build.ts',
      'src/vm-modules.ts',
      'src/snapshot/file.ts',
      'actors/backend/',
    ],
    why: 'the host is reached by back ends and the command line',
  },
];

const all = sources('src', 'actors', 'machines');

function layerOf(path: string): string {
  const parts = path.split('/');
  if (parts[0] !== 'src') return parts[0] ?? '';
  return parts.length === 2 ? 'src' : `src/${parts[1]}`;
}

function layerFaults({ path, imports }: Source): string[] {
  const layer = layerOf(path);
  const allowed = LAYERS[layer];
  if (allowed === undefined) return [`${path}: the folder is in no layer`];
  return imports.flatMap(({ path: imported, isType }) => {
    if (imported === null) return [];
    const other = layerOf(imported);
    const fine = other === layer || allowed.includes(other) || (isType && allowed.includes(`types:${other}`));
    return fine ? [] : [`${path} imports ${imported}`];
  });
}

describe('imports', () => {
  it('go down the layers', () => {
    expect(all.flatMap(layerFaults)).toEqual([]);
  });

  it('of sibling actors are left to those who spawn them', () => {
    const folder = (path: string): string => path.split('/').slice(0, 2).join('/');
    const faults = all
      .filter(({ path }) => path.startsWith('actors/') && !isListed(path, PARENTS))
      .flatMap(({ path, imports }) =>
        imports
          .filter((one) => !one.isType && one.path?.startsWith('actors/') && folder(one.path) !== folder(path))
          .filter((one) => !isListed(one.path ?? '', TABLES))
          .map((one) => `${path} imports ${one.path}`),
      );
    expect(faults).toEqual([]);
  });

  it.each(RESERVED)('of $modules are for some: $why', ({ modules, users }) => {
    const faults = all
      .filter(({ path }) => !isListed(path, users))
      .flatMap(({ path, imports }) =>
        imports.filter(({ request }) => modules.test(request)).map(({ request }) => `${path} imports ${request}`),
      );
    expect(faults).toEqual([]);
  });

  /**
   * What a thread has loaded when it begins with a file: other files, and packages.
   * @param alsoLater what it may load when it is needed, too
   */
  function loadedBy(
    main: string,
    alsoLater: boolean,
  ): { readonly files: readonly string[]; readonly packages: readonly string[] } {
    const byPath = new Map(all.map((source) => [source.path, source]));
    const reached = new Set([main]);
    const found = new Set<string>();
    for (const path of reached) {
      for (const one of byPath.get(path)?.imports ?? []) {
        if (one.isType || (one.isLater && !alsoLater)) continue;
        if (one.path !== null) reached.add(one.path);
        else if (!one.request.startsWith('node:')) found.add(one.request);
      }
    }
    expect(reached.size).toBeGreaterThan(10);
    return { files: [...reached], packages: [...found] };
  }

  // Each thread loads them anew: rxjs alone would double the time a vCPU's takes to start.
  it.each([
    ['actors/board/virt-vcpu.ts', ['xstate']],
    ['actors/cpu/translator-thread.ts', []],
  ])('of the thread that begins with %s bring no package but %j', (main, packages) => {
    expect(loadedBy(main, true).packages).toEqual(packages);
  });

  it.each(['src/index.ts', 'src/cli/command.ts'])(
    'of the main thread, %s, bring no hart, and nothing that translates for one: its threads have them',
    (main) => {
      const ofHarts = loadedBy(main, false).files.filter((path) => /^src\/(isa|jit|wasm)\//.test(path));
      expect(ofHarts).toEqual([]);
    },
  );

  it('of the command bring little before the first thread is started', () => {
    const { files, packages } = loadedBy('src/cli/main.ts', false);
    expect(packages).toEqual([]);
    expect(files.filter((path) => /^(machines|src\/(bus|loop|pci|boot|guest))\//.test(path))).toEqual([]);
  });

  it('of a deterministic machine bring all', () => {
    expect(loadedBy('src/vm-deterministic.ts', false).files).toContain('src/jit/translator.ts');
  });

  it('name the file, with its ending', () => {
    const faults = sources('src', 'actors', 'machines', 'test').flatMap(({ path, imports }) =>
      imports
        .filter((one) => one.path !== null && !/\.(ts|js|json|wasm)$/.test(one.path))
        .map(({ request }) => `${path} imports ${request}`),
    );
    expect(faults).toEqual([]);
  });

  it('follow a table without cycles', () => {
    const visit = (layer: string, above: readonly string[]): void => {
      expect(above, `${[...above, layer].join(' -> ')}`).not.toContain(layer);
      for (const below of LAYERS[layer] ?? []) if (!below.startsWith('types:')) visit(below, [...above, layer]);
    };
    for (const layer of Object.keys(LAYERS)) visit(layer, []);
  });
});
