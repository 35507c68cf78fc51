/** Dirty logging of a whole machine: what pre-copy migration does, and what it must find at the end. */
import { expect, it } from 'vitest';
import type { Vm } from '../../src/index.ts';
import { bare, RAM_BASE, sleep } from '../support/machines.ts';

const RAM_BYTES = 8 * 2 ** 20;
const PAGE_BYTES = 4096;
/** Each hart writes all over its half of the upper 4 MiB, in ways of all kinds, for ever. */
const WRITERS = `
  csrr s1, mhartid
  li s0, RAM + 0x400000
  slli t0, s1, 21
  add s0, s0, t0
  li s2, 0x1fff00
  addi s3, s1, 77
again:
  slli t0, s3, 13
  xor s3, s3, t0
  srli t0, s3, 7
  xor s3, s3, t0
  slli t0, s3, 17
  xor s3, s3, t0
  and t1, s3, s2
  add t1, t1, s0
  sd s3, 0(t1)
  addi t3, t1, 64
  amoadd.d x0, s3, (t3)
  addi t3, t1, 128
  lr.d t2, (t3)
  sc.d t2, s3, (t3)
  j again
`;

/** Copies the pages that were written since the last time. @returns how many */
async function copyDirty(vm: Vm, client: 'migration' | 'display', copy: Uint8Array): Promise<number> {
  const bitmap = await vm.collectDirty(client);
  let pages = 0;
  for (let page = 0; page < RAM_BYTES / PAGE_BYTES; page++) {
    if ((((bitmap[page >> 3] ?? 0) >> (page & 7)) & 1) === 0) continue;
    pages++;
    copy.set(vm.memory.read(RAM_BASE + page * PAGE_BYTES, PAGE_BYTES), page * PAGE_BYTES);
  }
  return pages;
}

it('a copy that follows the dirty pages of two busy harts ends up equal, for each client', async () => {
  const vm = await bare(WRITERS, { harts: 2, ramBytes: RAM_BYTES });
  vm.start();
  await sleep(20);
  const clients = ['migration', 'display'] as const;
  await Promise.all(clients.map((client) => vm.startDirtyLog(client)));
  const copies = clients.map(() => vm.memory.read(RAM_BASE, RAM_BYTES));
  let copied = 0;
  for (let round = 0; round < 30; round++) {
    const n = round % 3 === 0 ? 1 : 0;
    copied += await copyDirty(vm, clients[n] ?? 'display', copies[n] ?? new Uint8Array());
    // What the host writes counts as well: behind the program, where no hart does.
    vm.memory.write(RAM_BASE + 0x10_0000 + round * PAGE_BYTES, new Uint8Array([round, 1]));
  }
  await vm.pause();
  for (const [n, client] of clients.entries()) await copyDirty(vm, client, copies[n] ?? new Uint8Array());
  expect(copied).toBeGreaterThan(100);
  const ram = Buffer.from(vm.memory.read(RAM_BASE, RAM_BYTES));
  for (const copy of copies) expect(ram.equals(copy)).toBe(true);
  // Nobody writes now.
  expect(await copyDirty(vm, 'migration', copies[0] ?? new Uint8Array())).toBe(0);
  await vm.stopDirtyLog('migration');
});
