/**
 * Debian's kernel with two harts, deterministic: the same to the prompt and through a command, each time and
 * whether it is interpreted or translated.
 */
import { expect, it } from 'vitest';
import { defaultGuest } from '../../src/guest/default-guest.ts';
import { type Accel, createVm } from '../../src/index.ts';
import { runOf } from './support.ts';

const PROMPT = ':/# ';
const RAM_BYTES = 192 * 2 ** 20;
/** The wall clock of every deterministic machine begins on the first day of this year. */
const YEAR = '2025';

async function session(seed: number, accel: Accel = 'interpreter') {
  const vm = await createVm({ ...(await defaultGuest()), harts: 2, ramBytes: RAM_BYTES, seed, accel });
  const run = runOf(vm);
  const trace = (): object => {
    const { steps, instructions, timeNs, logHash } = run;
    return { steps, instructions, timeNs, logHash, ram: String(vm.memory.hash()) };
  };
  vm.start();
  const console = [await vm.console.expect(PROMPT)];
  const prompt = trace();
  vm.console.write('nproc; date +%Y; head -c 16 /dev/urandom | sha256sum\n');
  console.push(await vm.console.expect(PROMPT));
  const traces = [prompt, trace()];
  await vm.stop();
  return { console, traces };
}

it('Debian boots twice in the same way, and a third time with translated code', async () => {
  const first = await session(1);
  expect(first.console[1]).toMatch(new RegExp(`\\n2\\r\\n${YEAR}\\r\\n[0-9a-f]{64} `));
  expect(await session(1)).toEqual(first);
  expect(await session(1, 'jit')).toEqual(first);
});
