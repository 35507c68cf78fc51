/** A machine whose translated code is compiled by a thread of its own. */
import { firstValueFrom } from 'rxjs';
import { filter, map } from 'rxjs/operators';
import { expect, test } from 'vitest';
import { onThreads, startTranslator } from '../../actors/board/placement.ts';
import type { ThreadWiring } from '../../src/channel/threads.ts';
import { bare, RAM_BASE, sleep, within } from '../support/machines.ts';

/** Each hart counts in its own doubleword, in a loop that stores and loads, for ever. */
const COUNTS = `
    csrr t0, mhartid
    slli t0, t0, 3
    li a0, RAM + 0x10000
    add a0, a0, t0
  again:
    li t1, 1000
  next:
    ld a1, 0(a0)
    addi a1, a1, 1
    sd a1, 0(a0)
    addi t1, t1, -1
    bnez t1, next
    j again
  `;

test.each([1, 2])('translates for %d harts, and ends with the machine', async (harts) => {
  const vm = await bare(COUNTS, { harts, compileThread: true, log: { items: ['jit'] } });
  const regions = vm.log.pipe(
    map((text) => Number(/jit: (\d+) regions/.exec(text)?.[1] ?? 0)),
    filter((count) => count > 0),
  );
  const translated = firstValueFrom(regions);
  vm.start();
  expect(await within(20_000, 'a region', translated)).toBeGreaterThan(0);
  const counted = (): bigint[] => {
    const bytes = vm.memory.read(RAM_BASE + 0x1_0000, 8 * harts);
    return [...new BigUint64Array(bytes.buffer)];
  };
  // The other hart's thread may only be starting.
  const all = async (): Promise<void> => {
    const before = counted();
    while (!counted().every((count, hart) => count > (before[hart] ?? 0n))) await sleep(10);
  };
  await within(20_000, 'counting', all());
  await within(5000, 'the end', vm.stop());
});

test('is started only where it is asked for', () => {
  const none = startTranslator(null, [], () => {});
  expect(none).toEqual({ translator: null, vcpus: [] });
  const { startTranslator: _, ...without } = onThreads;
  expect(startTranslator(without, [], () => {}).translator).toBeNull();
});

test('what it fails with is the failure of the machine', () => {
  const errors: string[] = [];
  const placement = {
    ...onThreads,
    startTranslator: (_wiring: ThreadWiring, onEnd: (error: { name: string; message: string } | null) => void) => {
      onEnd({ name: 'Error', message: 'out of words' });
      onEnd(null);
      return { end: () => Promise.resolve() };
    },
  } as typeof onThreads;
  startTranslator(placement, [], ({ message }) => void errors.push(message));
  expect(errors).toEqual(['out of words']);
});
