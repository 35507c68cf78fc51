/** Names that only some files may use. */
import { describe, expect, it } from 'vitest';
import { isListed, sources } from './sources.ts';

/** The command line and what it calls before there is a machine. */
const COMMAND = ['src/cli/', 'src/guest/'];
/** Edges of the program, where the host's promises are: nothing of these runs inside an actor. */
const EDGES = [
  ...COMMAND,
  'src/hart/build.ts',
  'src/actor/worker-main.ts',
  'src/vm.ts',
  'src/vm-modules.ts',
  // A machine that stands, on its way to a file and back.
  'src/vm-save.ts',
  'src/vm-snapshot.ts',
  'src/snapshot/file.ts',
  'src/snapshot/read.ts',
  'src/snapshot/write.ts',
  // Waits for its thread's end, when no actor is left.
  'actors/board/virt.ts',
];

const RULES: readonly { readonly name: RegExp; readonly users: readonly string[]; readonly instead: string }[] = [
  {
    name: /\bDate\.now\b|\bnew Date\b|\bperformance\b/,
    users: ['src/util/host-clock.ts', ...COMMAND],
    instead: "the loop's nowNs or wallClockNs",
  },
  {
    name: /\b(setTimeout|setInterval|setImmediate|queueMicrotask|process\.nextTick|hrtime)\b/,
    users: ['src/util/host-clock.ts', 'src/loop/drivers.ts', 'src/vm-console.ts', ...COMMAND],
    instead: "the loop's bottom halves and timers",
  },
  {
    name: /\bMath\.random\b|\brandom(Bytes|Int|UUID)\b|\bgetRandomValues\b/,
    // Where the seeds come from.
    users: ['src/vm.ts'],
    instead: "the loop's random()",
  },
  { name: /\basync\b|\bawait\b/, users: EDGES, instead: 'a record with a state field' },
  {
    name: /\bSharedArrayBuffer\b/,
    users: ['src/memory/', 'src/channel/', 'src/hart/', 'src/jit/', 'src/wasm/webassembly.d.ts'],
    instead: 'a DmaPort for guest RAM, messages for the rest',
  },
  {
    name: /\bAtomics\b/,
    users: ['src/channel/', 'src/hart/', 'src/jit/', 'src/memory/'],
    instead: 'channels and signals',
  },
  {
    name: /\.mmio(Read|Write)(Later)?(\?\.)?\s*\(/,
    users: ['src/actor/device-logic.ts'],
    instead: "a RegisterWindow: only an actor's logic holds its core",
  },
  { name: /:\s*any\b|\bas any\b|<any>|@ts-ignore|@ts-expect-error/, users: [], instead: 'a type' },
  { name: /(?<![\w.#'-])console\.\w/, users: [], instead: 'a log message' },
];

const UNFINISHED = /\b(TODO|FIXME|XXX|HACK)\b/;

const all = sources('src', 'actors', 'machines');

describe('names', () => {
  it.each(RULES)('$name: use $instead', ({ name, users }) => {
    const faults = all
      .filter(({ path }) => !isListed(path, users))
      .flatMap(({ path, code }) =>
        code.split('\n').flatMap((line, i) => (name.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
      );
    expect(faults).toEqual([]);
  });

  it('of unfinished work are not left behind', () => {
    const faults = sources('src', 'actors', 'machines', 'test')
      .filter(({ path }) => !path.startsWith('test/laws/'))
      .filter(({ code }) => UNFINISHED.test(code))
      .map(({ path }) => path);
    expect(faults).toEqual([]);
  });

  it('have a user: each exception above is needed', () => {
    const unused = RULES.flatMap(({ name, users }) =>
      users
        .filter((user) => user.endsWith('.ts') && all.some(({ path }) => path === user))
        .filter((user) => !all.some(({ path, code }) => path === user && name.test(code)))
        .map((user) => `${user} no longer needs ${name}`),
    );
    expect(unused).toEqual([]);
  });
});
