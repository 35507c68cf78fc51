/**
 * Deterministic runs that are saved: the run that never was, the one that was and goes on, and the restored one are the
 * same run. Each is compared by its log's hash, its instructions, guest RAM and console.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { virtTable } from '../../actors/board/virt-table.ts';
import { edu } from '../../actors/pci/edu.ts';
import { createVm, type Vm, type VmOptions, type VmPciDevice } from '../../src/index.ts';
import { hashRam } from '../../src/snapshot/ram-hash.ts';
import { program, RAM_BASE } from '../support/machines.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bottomhalf-runs-'));
});
afterAll(() => rm(folder, { recursive: true }));

const RAM_BYTES = 4 * 2 ** 20;
const ECAM = virtTable.pcieEcam.base;
const BAR_GPA = 0x4000_0000;
const IMSIC = virtTable.imsicM.base;

/** Two harts: each takes timer and software interrupts, sends one to the other, and talks to UART and RTC between. */
const BUSY = `
  csrr s11, mhartid
  la t0, trap
  csrw mtvec, t0
  li s0, RAM + 0x1000
  slli t0, s11, 8
  add s0, s0, t0                 # counters of this hart
  li s1, CLINT + 0x4000
  slli t0, s11, 3
  add s1, s1, t0                 # its comparator
  li s2, CLINT + 0xbff8
  li s3, CLINT
  xori t0, s11, 1
  slli t0, t0, 2
  add s3, s3, t0                 # the other's software interrupt
  li s4, CLINT
  slli t0, s11, 2
  add s4, s4, t0                 # its own
  li s5, UART
  li s6, RTC
  li t0, 0x88
  csrw mie, t0
  ld t0, 0(s2)
  addi t0, t0, 300
  sd t0, 0(s1)
  csrsi mstatus, 8
again:
  lw t0, 0(s6)
  ld t1, 16(s0)
  add t1, t1, t0
  sd t1, 16(s0)
  addi t2, s11, 'a'
  sb t2, 0(s5)
  andi t0, t0, 3
  bnez t0, again
  wfi
  j again
.align 2
trap:
  csrr t0, mcause
  andi t0, t0, 15
  li t1, 7
  beq t0, t1, timer
  sw zero, 0(s4)
  lw t0, 4(s0)
  addi t0, t0, 1
  sw t0, 4(s0)
  mret
timer:
  lw t0, 0(s0)
  addi t0, t0, 1
  sw t0, 0(s0)
  ld t0, 0(s2)
  addi t0, t0, 300
  sd t0, 0(s1)
  li t0, 1
  sw t0, 0(s3)
  mret
`;

/** Messages to the hart's own interrupt file, of which every third identity is not enabled at first. */
const MESSAGES = `
  la t0, trap
  csrw mtvec, t0
  li s0, RAM + 0x1000
  li s1, ${IMSIC}
  li t0, 0x70                    # eidelivery
  csrw 0x350, t0
  li t0, 1
  csrw 0x351, t0
  li t0, 0xc0                    # eie0
  csrw 0x350, t0
  li t0, 0x5b6db6
  csrw 0x351, t0
  li t0, 0x800
  csrw mie, t0
  csrsi mstatus, 8
  li s2, 1
again:
  sw s2, 0(s1)
  addi s2, s2, 1
  andi s2, s2, 31
  bnez s2, again
  li t0, RTC
  lw t0, 0(t0)
  j again
.align 2
trap:
  csrrw t0, 0x35c, zero          # mtopei
  srli t0, t0, 16
  slli t0, t0, 2
  add t0, t0, s0
  lw t1, 0(t0)
  addi t1, t1, 1
  sw t1, 0(t0)
  mret
`;

/** DMA from RAM to edu and back, over and over, by an interrupt of the PLIC each; and its factorials. */
const DMA = `
  la t0, trap
  csrw mtvec, t0
  li s0, RAM + 0x1000
  li s1, ${ECAM + (1 << 15)}
  li s2, ${BAR_GPA}
  sw s2, 0x10(s1)
  li t0, 6
  sw t0, 4(s1)
  li s3, PLIC
  li t0, 1
  sw t0, ${33 * 4}(s3)
  li s4, PLIC + 0x2004
  li t0, 2                       # source 33
  sw t0, 0(s4)
  li t0, 0x800
  csrw mie, t0
  csrsi mstatus, 8
  li t1, 0x80
  sw t1, 0x20(s2)                # factorials interrupt
  li s5, 0
next:
  sw s5, 8(s0)
  li t0, RAM + 0x1000
  li t3, RAM + 0x2000
  li t1, 0x40000
  li t2, 64
  andi t4, s5, 1
  bnez t4, back
  sd t0, 0x80(s2)
  sd t1, 0x88(s2)
  sd t2, 0x90(s2)
  li t2, 5
  j go
back:
  sd t1, 0x80(s2)
  sd t3, 0x88(s2)
  sd t2, 0x90(s2)
  li t2, 7
go:
  sw t2, 0x98(s2)
  andi t2, s5, 15
  sw t2, 8(s2)
  addi s5, s5, 1
wait:
  lw t0, 0x98(s2)
  andi t0, t0, 1
  bnez t0, wait
  j next
.align 2
trap:
  li t0, PLIC + 0x200004
  lw t1, 0(t0)
  lw t2, 0x24(s2)
  sw t2, 0x64(s2)
  lw t2, 0(s0)
  addi t2, t2, 1
  sw t2, 0(s0)
  sw t1, 0(t0)
  mret
`;

const EDU: VmPciDevice = {
  name: 'edu0',
  definition: edu as unknown as VmPciDevice['definition'],
  config: { dmaMask: 0xffff_ffffn },
};
const PLUGGABLE: VmOptions = { rootPorts: ['port0'], pci: [{ ...EDU, name: 'edu1', bus: 'port0' }] };

const SUBJECTS: readonly (readonly [string, string, VmOptions])[] = [
  ['two harts with timers, interrupts, a console and waits', BUSY, { harts: 2 }],
  ['the same with an APLIC', BUSY, { harts: 2, aia: 'aplic' }],
  ['the same with an APLIC, interrupt files and a root port', BUSY, { harts: 2, aia: 'aplic-imsic', ...PLUGGABLE }],
  ['messages to an interrupt file', MESSAGES, { aia: 'aplic-imsic' }],
  ['DMA and interrupts of a PCI function', DMA, { pci: [EDU] }],
];

/**
 * Seeds and instructions where a hart was saved that an interrupt had ended the wait of, before its deadline; and one whose
 * loop had just turned, so that its access was in order. And one where the other hart's thread had not started.
 */
const FAILED_ONCE: [number, number][] = [
  [2371340812, 6254],
  [784098905, 1],
  [1, 1],
];

interface Subject {
  readonly vm: Vm;
  output: string;
}

async function subject(options: VmOptions): Promise<Subject> {
  const vm = await createVm(options);
  const one: Subject = { vm, output: '' };
  const decoder = new TextDecoder();
  vm.console.output.subscribe((bytes) => {
    one.output += decoder.decode(bytes);
  });
  return one;
}

function run(vm: Vm) {
  if (vm.deterministic === null) throw new Error('no deterministic run');
  return vm.deterministic;
}

/** Runs to the instruction, and tells how the machine stands there. */
async function standAt(one: Subject, instructions: number, start: boolean) {
  const { vm } = one;
  const reached = run(vm).runUntil({ instructions });
  if (start) vm.start();
  expect(await reached).toBe('reached');
  const { steps, logHash, timeNs } = run(vm);
  const ram = hashRam(vm.memory.read(RAM_BASE, RAM_BYTES));
  return { steps, logHash, timeNs, ram, instructions: [...run(vm).instructions] };
}

describe('a saved run', () => {
  it.each(SUBJECTS)('goes on as if it had not been saved, restored or not: %s', async (_what, source, options) => {
    const kernel = program(source);
    await fc.assert(
      fc.asyncProperty(fc.nat(0xffff_ffff), fc.integer({ min: 1, max: 60_000 }), async (seed, at) => {
        const machine: VmOptions = { ...options, bios: 'none', ramBytes: RAM_BYTES, kernel, seed };
        const never = await subject(machine);
        const saved = await subject(machine);
        const file = join(folder, 'run.vm');
        await standAt(saved, at, true);
        await saved.vm.save(file);
        const printed = saved.output;
        const restored = await subject({ from: file });
        try {
          expect(restored.vm.state).toBe('paused');
          const end = at + 40_000;
          const expected = await standAt(never, end, true);
          expect(await standAt(saved, end, false)).toEqual(expected);
          expect(await standAt(restored, end, true)).toEqual(expected);
          expect(saved.output).toBe(never.output);
          expect(printed + restored.output).toBe(never.output);
        } finally {
          for (const { vm } of [never, saved, restored]) await vm.stop();
        }
      }),
      { numRuns: 7, examples: FAILED_ONCE },
    );
  });

  it('that is paused is restored paused, and goes on alike', async () => {
    const kernel = program(BUSY);
    const saved = await subject({ harts: 2, bios: 'none', ramBytes: RAM_BYTES, kernel, seed: 5 });
    await standAt(saved, 10_000, true);
    const paused = saved.vm.pause();
    run(saved.vm).release();
    await paused;
    const file = join(folder, 'paused.vm');
    await saved.vm.save(file);
    const restored = await subject({ from: file });
    const ends = [];
    for (const one of [saved, restored]) {
      expect(one.vm.state).toBe('paused');
      const reached = run(one.vm).runUntil({ instructions: 30_000 });
      one.vm.resume();
      await reached;
      ends.push([run(one.vm).logHash, run(one.vm).steps]);
      await one.vm.stop();
    }
    expect(ends[1]).toEqual(ends[0]);
  });
});
