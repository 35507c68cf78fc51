/** Debian's kernel with two harts, deterministic: twice the same to the prompt and through a command. */
import { expect, it } from 'vitest';
import { defaultGuest } from '../../src/guest/default-guest.ts';
import { createVm } from '../../src/index.ts';
import { runOf } from './support.ts';

const PROMPT = ':/# ';
const RAM_BYTES = 192 * 2 ** 20;
/** The wall clock of every deterministic machine begins on the first day of this year. */
const YEAR = '2025';

async function session(seed: number) {
  const vm = await createVm({ ...(await defaultGuest()), harts: 2, ramBytes: RAM_BYTES, seed });
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

it('Debian boots twice in the same way', async () => {
  const first = await session(1);
  expect(first.console[1]).toMatch(new RegExp(`\\n2\\r\\n${YEAR}\\r\\n[0-9a-f]{64} `));
  expect(await session(1)).toEqual(first);
});
