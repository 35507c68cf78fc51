/** QEMU's edu, driven by programs without firmware: through every interrupt controller, from the first hart and another. */
import { describe, expect, it } from 'vitest';
import type { VmPciDevice } from '../../actors/board/virt-pci-functions.ts';
import type { Aia } from '../../actors/cpu/aia.ts';
import { edu } from '../../actors/devices.ts';
import { msiSignal } from '../../src/hart/hart-signals.ts';
import type { Vm, VmOptions } from '../../src/index.ts';
import { FINISH, RESULTS_GPA, results } from '../support/harts.ts';
import { bare, RAM_BASE, within } from '../support/machines.ts';
import {
  attempt,
  awaitInterrupt,
  completeInterrupt,
  configGpa,
  enableInterrupts,
  enableMsi,
  type InterruptWay,
  imsicGpa,
  intxSource,
  MMIO,
  onHart,
  PCI_BEGIN,
  PCI_LIBRARY,
  push,
} from '../support/pci-guest.ts';

const END_MS = 20_000;
const POWEROFF = { kind: 'poweroff', code: 0 };
const EDU_ID = 0x11e8_1234;
const DEVICE = 6;
const IDENTITY = 77;
/** Room for transfers, behind the results. */
const DATA_GPA = RAM_BASE + 0x60_0000;
const BUFFER = 0x4_0000;

const eduAt = (name: string, addr: number): VmPciDevice => ({
  name,
  definition: edu as never,
  addr,
  config: { dmaMask: 2n ** 64n - 1n },
});

/** Finds edu and places it: s10 its configuration space, s9 its registers. */
const SET_UP = `
  ${PCI_BEGIN}
  li a0, ${EDU_ID}
  call pci_find
  mv s10, a0
  call pci_place
  li s9, ${MMIO}
`;

/** The interrupt's reason, from the device; acknowledged and read back until it is gone. */
const REASON = `
  lwu t2, 0x24(s9)
  sw t2, 0x64(s9)
  lwu t3, 0x24(s9)
`;

/** Starts a transfer and waits until it is over; t1 is then the status. */
const transfer = (source: number | bigint, destination: number | bigint, count: number | bigint, command: number) => `
  li t0, ${source}
  sd t0, 0x80(s9)
  li t0, ${destination}
  sd t0, 0x88(s9)
  li t0, ${count}
  sd t0, 0x90(s9)
  li t0, ${command}
  sw t0, 0x98(s9)
4: lwu t0, 0x98(s9)
  andi t0, t0, 1
  bnez t0, 4b
  lwu t1, 0x20(s9)
  andi t1, t1, 0x100
`;

async function finished(source: string, options: VmOptions): Promise<Vm> {
  const vm = await bare(`${source}\n j finish\n${PCI_LIBRARY}\n${FINISH}`, options);
  vm.start();
  expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
  return vm;
}

describe.each([
  [0, 'one thread', { seed: 1 }],
  [1, 'one thread', { seed: 2 }],
  [1, 'threads', {}],
] as const)('edu, driven from hart %d, %s', (hart, _threads, how) => {
  const options: VmOptions = { harts: 2, pci: [eduAt('edu0', DEVICE)], ...how };

  it('is found, placed, identified, and computes', async () => {
    const source = `
      ${onHart(hart)} ${SET_UP}
      mv t0, s10
      lwu t1, 0x10(s10)
      lhu t2, 4(s10)
      lwu t3, 0(s9)
      li t4, 0x12345678
      sw t4, 4(s9)
      lwu t4, 4(s9)
      ${push('t0', 't1', 't2', 't3', 't4')}
      li t0, 12
      sw t0, 8(s9)
    1: lwu t0, 0x20(s9)
      andi t0, t0, 1
      bnez t0, 1b
      lwu s8, 8(s9)
      li a0, 0x99991234       # nobody has this number
      call pci_find
      ${push('s8', 'a0')}
      li t0, ${configGpa(31 * 8)}
      lwu t1, 0(t0)
      lhu t2, 2(t0)
      lbu t3, 1(t0)
      ${push('t1', 't2', 't3')}
    `;
    const vm = await finished(source, options);
    const placed = [0x10_0000, MMIO, configGpa(DEVICE * 8), MMIO, 7];
    expect(results(vm, 12)).toEqual([
      ...placed,
      0x0100_00ed,
      ~0x1234_5678 >>> 0,
      479_001_600,
      0,
      0xffff_ffff,
      0xffff,
      0xff,
    ]);
  });

  const source = intxSource(DEVICE);
  const ways: readonly (readonly [string, InterruptWay])[] = [
    ['INTA through the PLIC', { aia: 'none', hart, source }],
    ['INTA through the APLIC', { aia: 'aplic', hart, source }],
    ['INTA through APLIC and IMSIC', { aia: 'aplic-imsic', hart, source, identity: IDENTITY }],
    ['MSI to the IMSIC', { aia: 'aplic-imsic', hart, identity: IDENTITY }],
  ];

  it.each(ways)('interrupts: %s', async (_name, way) => {
    const isMsi = way.source === undefined;
    const rounds = 20;
    const program = `
      ${onHart(hart)} ${SET_UP}
      ${isMsi ? `mv a0, s10\n${enableMsi(hart, IDENTITY)}` : ''}
      ${enableInterrupts(way)}
      li t0, 0x80
      sw t0, 0x20(s9)         # interrupt when computed
      li s5, ${rounds}
      li s6, 0                # sum of reasons
    next:
      andi t0, s5, 7
      sw t0, 8(s9)
      ${awaitInterrupt(way, 'computed')}
      mv s8, a0
      ${REASON}
      ${completeInterrupt(way)}
      beqz t2, computed       # the wire was slower than the answers
      add s6, s6, t2
      add s6, s6, t3
      lwu s7, 8(s9)
      addi s5, s5, -1
      bnez s5, next
      ${push('s8', 's6', 's7')}
      li t0, 0x1200
      sw t0, 0x60(s9)         # raised by hand
      ${awaitInterrupt(way, 'raised')}
      ${REASON}
      ${completeInterrupt(way)}
      beqz t2, raised
      ${push('t2')}
      li t0, ${DATA_GPA}
      li t1, 0x1122334455667788
      sd t1, 0(t0)
      ${transferAndInterrupt}
      ${awaitInterrupt(way, 'copied')}
      ${REASON}
      ${completeInterrupt(way)}
      beqz t2, copied
      ${push('t2')}
    `;
    const vm = await finished(program, { ...options, aia: way.aia });
    const number = way.aia === 'aplic-imsic' ? IDENTITY : source;
    expect(results(vm, 7)).toEqual([0x10_0000, MMIO, number, rounds, 1, 0x1200, 0x100]);
  });

  it('copies both ways, across pages, and says what it could not', async () => {
    const at = DATA_GPA + 0xffd;
    const source = `
      ${onHart(hart)} ${SET_UP}
      li t0, ${DATA_GPA}
      li t1, ${DATA_GPA + 0x2000}
    1: sw t0, 0(t0)
      addi t0, t0, 4
      bltu t0, t1, 1b
      ${transfer(at, BUFFER + 0x801, 0x7fd, 1)} ${push('t1')}
      ${transfer(BUFFER + 0x801, DATA_GPA + 0x1_0ffe, 0x7fd, 3)} ${push('t1')}
      ${transfer(at, BUFFER, 0x1001, 1)} ${push('t1')}
      ${transfer(BUFFER - 1, DATA_GPA, 16, 3)} ${push('t1')}
      ${transfer(at, BUFFER + 0xfff, 2, 1)} ${push('t1')}
      ${transfer(at, 0x50, 4, 1)} ${push('t1')}
      ${transfer(-16n, BUFFER, 16, 1)} ${push('t1')}
      ${transfer(2n ** 52n, BUFFER, 16, 1)} ${push('t1')}
      ${transfer(at, BUFFER, -1n, 1)} ${push('t1')}
      ${transfer(0x1000, BUFFER, 16, 1)} ${push('t1')}
      ${transfer(BUFFER, 0x1000, 16, 3)} ${push('t1')}
      ${transfer(RAM_BASE + 0xff_fff8, BUFFER, 16, 1)} ${push('t1')}
      ${transfer(at, BUFFER, 0, 1)} ${push('t1')}
      sh zero, 4(s10)
      li t0, 2
      sh t0, 4(s10)           # no bus master
      ${transfer(at, BUFFER, 16, 1)} ${push('t1')}
    `;
    const vm = await finished(source, options);
    const failed = 0x100;
    const bad = Array.from({ length: 10 }, () => failed);
    expect(results(vm, 16)).toEqual([0x10_0000, MMIO, 0, 0, ...bad, 0, failed]);
    expect([...vm.memory.read(DATA_GPA + 0x1_0ffe, 0x7fd)]).toEqual([...vm.memory.read(at, 0x7fd)]);
    expect(vm.memory.read(at, 1)).toEqual(Uint8Array.of(((DATA_GPA + 0xffc) >>> 8) & 0xff));
  });

  it('answers with ones where nothing is, and not at all with a bus fault', async () => {
    const vm = await finished(
      `
      ${onHart(hart)}
      li s9, ${MMIO}
      ${attempt('lwu s0, 0(s9)')} ${push('a0', 's0')}
      ${attempt('sd s9, 8(s9)')} ${push('a0')}
      ${SET_UP}
      sh zero, 4(s10)
      ${attempt('lwu s0, 0(s9)')} ${push('a0', 's0')}
      li s8, 0x3000000
      ${attempt('lbu s0, 0x10(s8)')} ${push('a0', 's0')}
      li s8, 0x7ffffff8
      ${attempt('ld s0, 0(s8)')} ${push('a0', 's0')}
      li s8, 0x400000000
      ${attempt('lhu s0, 2(s8)')} ${push('a0', 's0')}
    `,
      options,
    );
    const fine = -1;
    const placed = [0x10_0000, MMIO];
    const found = [fine, 0xffff_ffff, fine, ...placed, fine, 0xffff_ffff, fine, 0xff, fine, -1, fine, 0xffff];
    expect(results(vm, found.length)).toEqual(found);
  });
});

/** From RAM, with an interrupt at the end. */
const transferAndInterrupt = `
  li t0, ${DATA_GPA}
  sd t0, 0x80(s9)
  li t0, ${BUFFER}
  sd t0, 0x88(s9)
  li t0, 8
  sd t0, 0x90(s9)
  li t0, 5
  sw t0, 0x98(s9)
`;

describe('messages', () => {
  it('go from the device straight to the vCPU they are for, also after the guest has moved them', async () => {
    const way = { aia: 'aplic-imsic', identity: IDENTITY } as const;
    const program = `
      csrr t0, mhartid
      li s11, ${RESULTS_GPA}
      bnez t0, receive
      ${SET_UP}
      mv a0, s10
      ${enableMsi(1, IDENTITY)}
      fence
      sw s11, 0x60(s9)        # to hart 1
      li s5, ${RESULTS_GPA + 80}
    1: ld t0, 0(s5)
      beqz t0, 1b
      sw s11, 0x64(s9)
      mv a0, s10
      ${enableMsi(0, IDENTITY)}
      ${enableInterrupts({ ...way, hart: 0 })}
      sw s11, 0x60(s9)        # to this one
      ${awaitInterrupt({ ...way, hart: 0 }, 'mine')}
      ${push('a0')}
      j finish
    receive:
      ${enableInterrupts({ ...way, hart: 1 })}
      ${awaitInterrupt({ ...way, hart: 1 }, 'theirs')}
      li s5, ${RESULTS_GPA + 80}
      sd a0, 0(s5)
    stay: wfi
      j stay
      ${PCI_LIBRARY} ${FINISH}
    `;
    const vm = await bare(program, { harts: 2, aia: 'aplic-imsic', pci: [eduAt('edu0', DEVICE)], seed: 5 });
    const signals: string[] = [];
    vm.deterministic?.log.subscribe(({ where, kind, name }) => {
      if (kind === 'signal') signals.push(`${where} ${name}`);
    });
    vm.start();
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    const signal = msiSignal('M', IDENTITY);
    expect(signals).toEqual([`vcpu1 ${signal}`, `vcpu0 ${signal}`]);
    expect([results(vm, 1, 2), results(vm, 1, 10)]).toEqual([[IDENTITY], [IDENTITY]]);
  });

  it('of several functions and vectors each find their hart and identity', async () => {
    const aia: Aia = 'aplic-imsic';
    // Each hart has an edu of its own, whose messages go to the other.
    const program = `
      csrr s8, mhartid
      la t0, pci_trap
      csrw mtvec, t0
      li s11, ${RESULTS_GPA}
      slli t0, s8, 8
      add s11, s11, t0
      slli t0, s8, 15
      li s10, ${configGpa(DEVICE * 8)}
      add s10, s10, t0
      slli t0, s8, 20
      li s2, ${MMIO}
      add s2, s2, t0
      mv s9, s2
      mv a0, s10
      call pci_place
      mv a0, s10
      li a1, 5
      call pci_capability
      xori t0, s8, 1
      slli t0, t0, 12
      li t1, ${imsicGpa(0)}
      add t0, t0, t1
      sw t0, 4(a1)
      addi t0, s8, 100
      sh t0, 12(a1)
      li t0, 0x81
      sh t0, 2(a1)
      ${enableInterrupts({ aia, hart: 0, identity: 100 })}
      ${enableInterrupts({ aia, hart: 0, identity: 101 })}
      li s5, 200
      bnez s8, wait
    again:
      sw s5, 0x60(s9)
      ${awaitInterrupt({ aia, hart: 0 }, 'wait')}
      addi s5, s5, -1
      bnez s5, again
      ${push('a0')}
      beqz s8, 1f
      sw s11, 0x60(s9)        # the other has still to hear of it
    1:
      li t0, 1
      li t1, ${RESULTS_GPA + 0x200}
      amoadd.d t0, t0, (t1)
      bnez t0, finish
    stay: wfi
      j stay
      ${PCI_LIBRARY} ${FINISH}
    `;
    const pci = [eduAt('edu0', DEVICE), eduAt('edu1', DEVICE + 1)];
    const vm = await bare(program, { harts: 2, aia, pci });
    vm.start();
    expect(await within(END_MS, 'the end', vm.finished)).toEqual(POWEROFF);
    expect([results(vm, 1, 2), results(vm, 1, 34)]).toEqual([[101], [100]]);
  });
});
