/** In steady state nothing is allocated for an event, but for what is listed here. Runs on the build. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('./events.js', import.meta.url));
/** What the engine does now and then, over the events of a pass. */
const NOISE_BYTES = 0.05;

/** What allocates, at most so many bytes for an event, and why. */
const ALLOCATING: Readonly<Record<string, readonly [bytes: number, why: string]>> = {
  'sleep that a timer ends': [96, "the host's clock, read five times: 16 bytes each in Node 20, none in Node 24"],
  'UART: character to the console': [1, 'the message that takes up to 1,024 of them'],
  'UART: character from the console': [1, 'the piece of input that brings up to 1,024 of them'],
};

/** Nothing is collected during a pass: the young generation has room for all of it. */
const FLAGS = ['--expose-gc', '--min-semi-space-size=256', '--max-semi-space-size=256'];
/** V8 decides anew in each process what it inlines; what our code allocates is allocated in all of them. */
const PROCESSES = 3;

type Bytes = Readonly<Record<string, number>>;

function measured(): Bytes {
  return JSON.parse(execFileSync(process.execPath, [...FLAGS, SCRIPT], { encoding: 'utf8', timeout: 35_000 })) as Bytes;
}

function boundOf(name: string): number {
  return ALLOCATING[name]?.[0] ?? NOISE_BYTES;
}

it('events allocate nothing', () => {
  const least = new Map<string, number>();
  const names = new Set<string>(Object.keys(ALLOCATING));
  const isMet = (name: string): boolean => (least.get(name) ?? Number.POSITIVE_INFINITY) < boundOf(name);
  for (let n = 0; n < PROCESSES; n++) {
    const bytes = measured();
    expect(Object.keys(bytes).length).toBeGreaterThan(10);
    for (const [name, each] of Object.entries(bytes)) {
      names.add(name);
      // Less than nothing says nothing: a collection in between hides what was allocated, as does a pass in which the
      // engine had more to do of its own. It takes another process.
      if (each >= -NOISE_BYTES) least.set(name, Math.min(each, least.get(name) ?? each));
    }
    if ([...names].every(isMet)) break;
  }
  for (const name of names) expect(least.get(name), name).toBeLessThan(boundOf(name));
});
