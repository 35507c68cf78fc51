/** In steady state nothing is allocated for an event, but for what is listed here. Runs on the build. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('./events.js', import.meta.url));
/** What the engine does once in a pass, over its events. */
const NOISE_BYTES = 0.05;

/** What allocates, at most so many bytes for an event, and why. */
const ALLOCATING: Readonly<Record<string, readonly [bytes: number, why: string]>> = {
  'words request and its reply': [48, 'who is to be told of the reply'],
  'register of another loop read': [280, 'a closure at each layer; a trip between threads costs far more'],
  'PLIC interrupt: raised, claimed, lowered, completed': [512, "two messages to an actor: xstate's mailbox"],
  'wfi that the timer ends': [56, 'the clock, as a number: 16 bytes on each way that V8 has not inlined'],
};

it('events allocate nothing', () => {
  // Nothing is collected during a pass: the young generation has room for all of it.
  const flags = ['--expose-gc', '--min-semi-space-size=256', '--max-semi-space-size=256'];
  const text = execFileSync(process.execPath, [...flags, SCRIPT], { encoding: 'utf8', timeout: 110_000 });
  const bytes = JSON.parse(text) as Readonly<Record<string, number>>;
  expect(Object.keys(bytes).length).toBeGreaterThan(10);
  for (const name of Object.keys(ALLOCATING)) expect(bytes).toHaveProperty([name]);
  for (const [name, each] of Object.entries(bytes)) {
    // A collection in between would hide what was allocated.
    expect(each, name).toBeGreaterThanOrEqual(0);
    expect(each, name).toBeLessThan(ALLOCATING[name]?.[0] ?? NOISE_BYTES);
  }
});
