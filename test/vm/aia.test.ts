/** Interrupts that overtake loops: each message reaches its hart once, also when the machine stands in between. */
import { describe, expect, it } from 'vitest';
import type { VmPciDevice } from '../../actors/board/virt-pci-functions.ts';
import { edu } from '../../actors/devices.ts';
import type { Vm } from '../../src/index.ts';
import { Prng } from '../../src/util/prng.ts';
import { bareHarts, FINISH, RESULTS_GPA, results } from '../support/harts.ts';
import { bare, sleep, within } from '../support/machines.ts';
import {
  awaitInterrupt,
  completeInterrupt,
  configGpa,
  enableInterrupts,
  enableMsi,
  type InterruptWay,
  imsicGpa,
  intxSource,
  MMIO,
  PCI_BEGIN,
  PCI_LIBRARY,
} from '../support/pci-guest.ts';

const END_MS = 60_000;
const POWEROFF = { kind: 'poweroff', code: 0 };
const DEVICE = 3;
const IDENTITY = 200;
const function0: VmPciDevice = { name: 'edu0', definition: edu as never, addr: DEVICE };

/**
 * Hart 1 raises edu's interrupt so many times, each when the one before has been counted; hart 0 counts. At the end hart
 * 1 waits a while for one too many.
 */
const counted = (way: InterruptWay, rounds: number): string => `
  li s7, ${RESULTS_GPA}       # interrupts that hart 0 has taken, those that hart 1 has raised, it is ready
  la t0, pci_trap
  csrw mtvec, t0
  bnez a0, raise
  ${PCI_BEGIN}
  li s11, ${RESULTS_GPA + 0x100}
  li a0, ${configGpa(DEVICE << 3)}
  call pci_place
  li a0, ${configGpa(DEVICE << 3)}
  ${way.source === undefined ? enableMsi(0, IDENTITY) : ''}
  ${enableInterrupts(way)}
  li s9, ${MMIO}
  li s6, 0
  li t0, 1
  sd t0, 16(s7)
take:
  ${awaitInterrupt(way, 'wait')}
  lwu t2, 0x24(s9)
  sw t2, 0x64(s9)
  lwu t3, 0x24(s9)
  ${completeInterrupt(way)}
  ${way.source === undefined ? '' : 'beqz t2, wait'}
  addi s6, s6, 1
  sd s6, 0(s7)
  j wait
raise:
  ld t0, 16(s7)
  beqz t0, raise
  li s9, ${MMIO}
  li s6, 0
next:
  addi s6, s6, 1
  sd s6, 8(s7)
  sw s6, 0x60(s9)
1: ld t0, 0(s7)
  blt t0, s6, 1b
  bne t0, s6, finish
  li t0, ${rounds}
  blt s6, t0, next
  rdtime t1
  li t0, 20000
  add t1, t1, t0
2: rdtime t0
  blt t0, t1, 2b
  j finish
  ${PCI_LIBRARY} ${FINISH}
`;

/** Stops the machine again and again until it has ended. */
async function interrupted(vm: Vm, seed: number): Promise<number> {
  const random = new Prng(seed);
  let pauses = 0;
  while (vm.state !== 'shutdown') {
    await sleep(random.below(4));
    if (vm.state !== 'running') continue;
    await within(END_MS, 'pause', vm.pause());
    if ((vm.state as string) !== 'paused') break;
    const before = results(vm, 2);
    if (random.below(4) === 0) await sleep(random.below(4));
    // Nobody runs.
    expect(results(vm, 2)).toEqual(before);
    pauses += 1;
    vm.resume();
  }
  return pauses;
}

describe('pauses in the middle of interrupts', () => {
  const source = intxSource(DEVICE);
  it.each<readonly [string, InterruptWay]>([
    ['MSI', { aia: 'aplic-imsic', hart: 0, identity: IDENTITY }],
    ['INTA through APLIC and IMSIC', { aia: 'aplic-imsic', hart: 0, identity: IDENTITY, source }],
    ['INTA through the PLIC', { aia: 'none', hart: 0, source }],
  ])('lose none and double none: %s', async (_name, way) => {
    const rounds = 400;
    const vm = await bareHarts(2, counted(way, rounds), { aia: way.aia, pci: [function0] });
    const pauses = await interrupted(vm, 7);
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect(results(vm, 2)).toEqual([rounds, rounds]);
    expect(pauses).toBeGreaterThan(3);
  });
});

describe('interrupt files', () => {
  it('of two harts are written by both at once, each message counted', async () => {
    const rounds = 3000;
    // Each hart writes the other's page, and goes on when it has heard of it: two balls in the air.
    const vm = await bareHarts(
      2,
      `
      la t0, pci_trap
      csrw mtvec, t0
      mv s8, a0
      ${enableInterrupts({ aia: 'aplic-imsic', hart: 0, identity: 1 })}
      ${enableInterrupts({ aia: 'aplic-imsic', hart: 0, identity: 255 })}
      xori t0, s8, 1
      slli t0, t0, 12
      li s9, ${imsicGpa(0)}
      add s9, s9, t0
      li s5, ${rounds}
      li s6, 0
      li s7, ${RESULTS_GPA}
      slli t0, s8, 4
      add s7, s7, t0
      li t1, 255              # hart 0 begins one, hart 1 the other
      bnez s8, 1f
      li t1, 1
    1:
      sw t1, 0(s9)
    next:
      ${awaitInterrupt({ aia: 'aplic-imsic', hart: 0 }, 'wait')}
      add s6, s6, a0
      addi s5, s5, -1
      sw a0, 0(s9)            # back
      sd s5, 0(s7)
      sd s6, 8(s7)
      bnez s5, next
      li t0, 1
      li t1, ${RESULTS_GPA + 0x100}
      amoadd.d t0, t0, (t1)
      bnez t0, finish
    stay: wfi
      j stay
      ${PCI_LIBRARY} ${FINISH}
    `,
      { aia: 'aplic-imsic' },
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    const [left0, sum0, left1, sum1] = results(vm, 4) as [number, number, number, number];
    expect([left0, left1]).toEqual([0, 0]);
    // Of each ball about half, in any order.
    expect(sum0 + sum1).toBeGreaterThan(rounds);
  });

  it("that do not exist are bus faults for a hart, and messages to them are nobody's", async () => {
    const vm = await bareHarts(
      2,
      `
      la t0, pci_trap
      csrw mtvec, t0
      bnez a0, stay
      li s11, ${RESULTS_GPA}
      li s9, ${imsicGpa(2)}
      la t0, 1f
      la t1, pci_resume
      sd t0, 0(t1)
      sw s9, 0(s9)
      li a0, -1
    1:
      sd a0, 0(s11)
      j finish
    stay: wfi
      j stay
      ${PCI_LIBRARY} ${FINISH}
    `,
      { aia: 'aplic-imsic' },
    );
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    const storeAccessFault = 7;
    expect(results(vm, 1)).toEqual([storeAccessFault]);
  });
});

describe('harts that wake each other by messages', () => {
  const TURNS = 30_000;
  const TOKEN = 77;
  /** Each waits in WFI until a message has come to its file, claims it, and sends one to the other; hart 0 begins, and ends. */
  const PASS = `
  li s0, ${imsicGpa(0)}
  li s1, ${imsicGpa(1)}
  li s2, ${TOKEN}
  li s3, ${TURNS}
  li s7, ${RESULTS_GPA}
  li t0, 0x70               # eidelivery
  csrw miselect, t0
  li t1, 1
  csrw mireg, t1
  li t0, ${0xc0 + 2 * (TOKEN >> 6)}  # eie
  csrw miselect, t0
  li t1, ${2 ** (TOKEN & 63)}
  csrw mireg, t1
  li t0, 2048
  csrw mie, t0
  bnez a0, second
  mv s0, s1
ready:
  ld t0, 0(s7)
  beqz t0, ready
pass:
  sw s2, 0(s0)
second:
  li t0, 1
  sd t0, 0(s7)
sleep:
  wfi
  csrrw t1, mtopei, x0
  beqz t1, sleep
  addi s3, s3, -1
  bnez s3, pass
  bnez a0, last
  ${FINISH}
last:
  sw s2, 0(s0)
rest: wfi
  j rest
`;

  it('miss none, whatever else rings for their threads', async () => {
    const vm = await bare(PASS, { harts: 2, aia: 'aplic-imsic' });
    vm.start();
    const isOver = { value: false };
    const ended = vm.finished.finally(() => {
      isOver.value = true;
    });
    const work = { module: new URL('./vcpu-work-functions.js', import.meta.url).href, exportName: 'exchange' };
    const ring = async (hart: number): Promise<void> => {
      const code = { ...work, parameters: { write: 31, value: 0n, read: 31 } };
      while (!isOver.value) await vm.runOnVcpu(hart, code).catch(() => {});
    };
    const rings = [ring(0), ring(1)];
    expect(await within(END_MS, 'the last turn', ended)).toEqual(POWEROFF);
    await Promise.all(rings);
  });
});
