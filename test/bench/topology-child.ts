/**
 * What a change of the memory map costs, seen by the guest that asks for it, and a bare round of acknowledgements among
 * as many threads. In a process of its own: child.ts calls it.
 */
import { edu } from '../../actors/devices.ts';
import { spawnWorker } from '../../src/actor/worker.ts';
import { FIRST_WORDS_KIND } from '../../src/channel/channel.ts';
import { Thread, wireThreads } from '../../src/channel/threads.ts';
import { createVm } from '../../src/index.ts';
import { assemble } from '../../src/isa/asm.ts';
import { attachThread, EventLoop, HostClock, ParkingDriver, runInLibuv } from '../../src/loop/index.ts';
import { DOORBELL } from '../../src/memory/doorbell-words.ts';
import type { TopologyResult } from './results.ts';

const ROUNDS = 9000;
/** By then V8 has optimised what they run through, and no longer computes beside them. */
const WARM_UP = 6000;
const RAM_BASE = 0x8000_0000;
const CONFIG = 0x3000_8000;
const TIMES_GPA = RAM_BASE + 0x40_0000;
const TICK_US = 0.1;
const KIND_ROUND = FIRST_WORDS_KIND;
const CLOSE = DOORBELL.firstSignal;

/** Hart 0 moves a BAR to and fro and takes the time of each write, then of writes that move nothing; the others read. */
const PROGRAM = `
  li s9, 0x40000000
  bnez a0, look
  li s0, ${CONFIG}
  li t0, 6
  sh t0, 4(s0)
  li s1, ${TIMES_GPA}
  li s2, ${ROUNDS}
  li s3, 0x100000
move:
  xor s9, s9, s3
  addi s4, s0, 0x10
  rdtime t0
  sw s9, 0(s4)
  rdtime t1
  sub t1, t1, t0
  sd t1, 0(s1)
  addi s1, s1, 8
  addi s2, s2, -1
  bnez s2, move
  li s2, ${ROUNDS}
still:
  rdtime t0
  sb s2, 0x3c(s0)
  rdtime t1
  sub t1, t1, t0
  sd t1, 0(s1)
  addi s1, s1, 8
  addi s2, s2, -1
  bnez s2, still
  li t0, 0x100000
  li t1, 0x5555
  sw t1, 0(t0)
stop: j stop
look:
  lwu t0, 0(s9)
  li t1, 20                  # it has other things to do as well
1: addi t1, t1, -1
  bnez t1, 1b
  j look
`;

export async function topology({ harts }: { harts: number }): Promise<TopologyResult> {
  const vm = await createVm({
    kernel: assemble(PROGRAM, { base: RAM_BASE }).bytes,
    bios: 'none',
    harts,
    ramBytes: 16 * 2 ** 20,
    pci: [{ name: 'edu0', definition: edu as never, addr: 1 }],
  });
  vm.start();
  await vm.finished;
  const times = new BigUint64Array(vm.memory.read(TIMES_GPA, 16 * ROUNDS).buffer);
  await vm.stop();
  const us = (from: number) =>
    Array.from(times.subarray(from + WARM_UP, from + ROUNDS), (ticks) => Number(ticks) * TICK_US);
  return { changeUs: us(0), plainUs: us(ROUNDS), roundUs: await bareRounds(harts) };
}

/** The main thread asks all, and goes on when all have answered. */
async function bareRounds(threads: number): Promise<number[]> {
  const names = Array.from({ length: threads }, (_, index) => `partner${index}`);
  const wiring = wireThreads([
    { name: 'main', kind: 'libuv' },
    ...names.map((name) => ({ name, kind: 'parking' }) as const),
  ]);
  const thread = new Thread(wiring.get('main') as never);
  const loop = new EventLoop({ name: 'main', clock: HostClock.running(), seed: 1 });
  attachThread(loop, thread);
  const driver = runInLibuv(loop, thread);
  const ended = names.map((name) => {
    const code = { module: import.meta.url, exportName: 'partner', parameters: null };
    return new Promise<unknown>((resolve) => void spawnWorker(code, wiring.get(name) as never, resolve));
  });
  const times: number[] = [];
  await new Promise<void>((resolve) => {
    const round = (): void => {
      const beginMs = performance.now();
      let left = threads;
      for (const name of names) {
        thread.channel(name).requestWords(KIND_ROUND, 0, 0, 0, 0, () => {
          left -= 1;
          if (left > 0) return;
          times.push((performance.now() - beginMs) * 1000);
          if (times.length < ROUNDS) again.schedule();
          else resolve();
        });
      }
    };
    const again = loop.bottomHalf('round', round);
    again.schedule();
  });
  for (const name of names) thread.bell(name).raise(CLOSE);
  await Promise.all(ended);
  driver.stop();
  thread.close();
  return times.slice(WARM_UP);
}

/** The other side of bareRounds(). */
export function partner(_: null, thread: Thread): void {
  const loop = new EventLoop({ name: thread.name, clock: HostClock.running(), seed: 1 });
  attachThread(loop, thread);
  thread.channel('main').onWords(KIND_ROUND, (_0, _1, _2, _3, token) => thread.channel('main').replyWords(token, 0, 0));
  let closed = false;
  thread.doorbell.onSignal(CLOSE, () => {
    closed = true;
  });
  new ParkingDriver(loop, thread).run(() => closed);
  thread.close();
}
