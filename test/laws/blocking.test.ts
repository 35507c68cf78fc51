/**
 * Who may block. A thread waits in one place, its doorbell, and only when it has nothing to run: a vCPU's own wait is
 * that its hart is not runnable while the loop turns. So no actor, device or channel ever waits for another.
 */
import { describe, expect, it } from 'vitest';
import { isListed, sources } from './sources.ts';

/** Each way to block, and the only places where it may stand: from the host's primitive up to the thread's main loop. */
const WAYS: readonly { readonly what: string; readonly pattern: RegExp; readonly users: readonly string[] }[] = [
  { what: 'Atomics.wait', pattern: /\bAtomics\.wait(Async)?\s*\(/, users: ['src/channel/doorbell.ts'] },
  { what: "a doorbell's wait()", pattern: /doorbell\??\.wait\s*\(/i, users: ['src/channel/parker.ts'] },
  { what: 'a Parker', pattern: /\bnew Parker\b/, users: ['src/loop/drivers.ts'] },
  { what: "a parker's park()", pattern: /#parker\.park\s*\(/, users: ['src/loop/drivers.ts'] },
  { what: "a parking driver's park()", pattern: /\bdriver\.park\s*\(/, users: ['actors/cpu/vcpu-thread.ts'] },
  {
    what: "WebAssembly's atomic wait",
    pattern: /\batomic\.wait|memory\.atomic\.wait|\batomic\.wait(32|64)/,
    users: [],
  },
  // It returns at once, but who repeats it until there is something waits.
  { what: 'receiveMessageOnPort', pattern: /\breceiveMessageOnPort\b/, users: ['src/channel/service.ts'] },
  { what: 'a child process that is waited for', pattern: /\b(exec|execFile|spawn)Sync\b/, users: [] },
  {
    what: 'a file read or written on the spot',
    // Before there is a machine: the modules, images named on the command line, the cache.
    pattern: /\b(read|write|open|close|append|fsync|stat|exists|readdir|rename|unlink|rm|mkdir)\w*(?<!And)Sync\s*\(/,
    users: ['src/cli/', 'src/guest/', 'src/vm-modules.ts', 'src/hart/build.ts'],
  },
];

const all = sources('src', 'actors', 'machines');

describe('blocking', () => {
  it.each(WAYS)('$what stands in its place only', ({ pattern, users }) => {
    const faults = all
      .filter(({ path }) => !isListed(path, users))
      .flatMap(({ path, code }) =>
        code.split('\n').flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
      );
    expect(faults).toEqual([]);
  });

  it.each(WAYS.filter(({ users }) => users.length > 0))(
    '$what is looked for as it is written',
    ({ pattern, users }) => {
      const found = all.some(({ path, code }) => isListed(path, users) && pattern.test(code));
      expect(found).toBe(true);
    },
  );
});
