/**
 * Two harts that write anything to anything of PCI Express and of the interrupt controllers, each as fast as it can,
 * while functions are plugged in and pulled out. The machine can still be paused, reset and stopped. Everything random
 * comes from the seed in the test's name; BOTTOMHALF_SOAK=1 adds hundreds of them.
 */
import { describe, expect, it, vi } from 'vitest';
import { VIRT_APLIC_S_BASE } from '../../actors/board/virt-aia-tree.ts';
import type { VmPciDevice } from '../../actors/board/virt-pci-functions.ts';
import { virtTable } from '../../actors/board/virt-table.ts';
import { AIA_KINDS, type Aia } from '../../actors/cpu/aia.ts';
import { edu } from '../../actors/devices.ts';
import type { Vm } from '../../src/index.ts';
import { ConfigError } from '../../src/util/config-error.ts';
import { Prng } from '../../src/util/prng.ts';
import { bareHarts } from '../support/harts.ts';
import { RAM_BASE, sleep, within } from '../support/machines.ts';
import { beacon } from '../support/pci-beacon.ts';
import { APLIC_M, configGpa, IMSIC_M, MMIO, MMIO_HIGH, PCI_LIBRARY, PIO, PLIC } from '../support/pci-guest.ts';

const LIMIT_MS = 10_000;
const ROWS = 600;
const SEEDS = process.env['BOTTOMHALF_SOAK'] === undefined ? 9 : 300;
const MASK = { config: { dmaMask: 2n ** 64n - 1n } };
const functions: VmPciDevice[] = [
  { name: 'edu0', definition: edu as never, addr: 2, ...MASK },
  { name: 'beacon0', definition: beacon as never, addr: 3, config: { mark: 7 } },
  { name: 'edu1', definition: edu as never, bus: 'rp0', ...MASK },
];
/** The host bridge, the root port, functions, nobody, and what is behind the port. */
const BDFS = [0, 1 << 3, 2 << 3, 3 << 3, 4 << 3, 1 << 8, (1 << 8) + 8];

/** An access: address, value, width as a power of two, 1 for a store. */
type Row = readonly [gpa: number, value: bigint, width: number, isStore: number];

class Chaos {
  readonly #random: Prng;

  constructor(seed: number) {
    this.#random = new Prng(seed);
  }

  below(bound: number): number {
    return this.#random.below(bound);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  row(): Row {
    const width = this.pick([0, 1, 2, 2, 2, 2, 3]);
    const gpa = this.#address();
    const aligned = this.below(16) === 0 ? gpa : gpa - (gpa % 2 ** width);
    return [aligned, this.#value(), width, this.below(4) === 0 ? 0 : 1];
  }

  #address(): number {
    const word = (bytes: number): number => this.below(bytes / 4) * 4;
    const inEdu = (): number =>
      this.pick([MMIO, MMIO + 0x10_0000, MMIO + 0x20_0000]) +
      this.pick([0, 4, 8, 0x20, 0x60, 0x64, 0x80, 0x88, 0x90, 0x98]);
    return this.pick([
      () => configGpa(this.pick(BDFS), this.pick([4, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x30, 0x3c])),
      () => configGpa(this.pick(BDFS), word(0x100)),
      () => configGpa(this.below(65_536), word(0x1000)),
      inEdu,
      inEdu,
      () => MMIO + word(0x40_0000),
      () => MMIO_HIGH + word(0x10_0000),
      () => PIO + word(0x1_0000),
      () => PLIC + this.pick([0, 0x1000, 0x2000, 0x20_0000, 0x20_1000]) + word(0x400),
      () => APLIC_M + word(0x8000),
      () => VIRT_APLIC_S_BASE + word(0x8000),
      () => APLIC_M + this.pick([0, 0x3000, 0x1bc0, 0x1bc4, 0x1c00, 0x1cdc, 0x1edc, 0x2000]),
      () => IMSIC_M + word(0x6000),
      () => virtTable.imsicS.base + word(0x6000),
    ])();
  }

  #value(): bigint {
    const bits = BigInt(this.#random.next());
    return this.pick([
      () => bits,
      () => (bits << 32n) | BigInt(this.#random.next()),
      () => BigInt(this.pick([0, 1, 2, 3, 5, 6, 7, 0x100, 0x400, 0xffff_ffff])),
      // Places: of BARs, of transfers, of messages.
      () =>
        BigInt(this.pick([MMIO, MMIO + 0x10_0000, 0x4_0000, IMSIC_M, IMSIC_M + 0x1000, RAM_BASE + 0x60_0000, PLIC])),
      () => BigInt(configGpa(this.pick(BDFS), 0x10)),
      () => BigInt(this.below(300)),
      // Harts that do not exist, with an identity.
      () => BigInt(2 ** 18 * this.below(1024) + this.below(256)),
    ])();
  }
}

const table = (chaos: Chaos): string =>
  Array.from({ length: ROWS }, () => {
    const [gpa, value, width, isStore] = chaos.row();
    return `.dword ${gpa}, ${value}, ${width + 4 * isStore}`;
  }).join('\n');

/** Both harts go through their tables again and again; a fault, or an interrupt, is passed over. */
const program = (chaos: Chaos): string => `
  la t0, trap
  csrw mtvec, t0
  li t0, 0x808
  csrw mie, t0
  li t0, 0x70
  csrw miselect, t0
  li t1, 1
  csrw mireg, t1
again:
  la s0, table0
  la s1, table1
  beqz a0, next
  mv s0, s1
  la s1, end
next:
  ld t0, 0(s0)
  ld t1, 8(s0)
  ld t2, 16(s0)
  csrsi mstatus, 8
  la t3, ways
  slli t2, t2, 3
  add t3, t3, t2
  jalr ra, 0(t3)
  csrci mstatus, 8
  csrrw t2, mtopei, zero
  addi s0, s0, 24
  bltu s0, s1, next
  j again
ways:
  lbu t2, 0(t0)
  ret
  lhu t2, 0(t0)
  ret
  lwu t2, 0(t0)
  ret
  ld t2, 0(t0)
  ret
  sb t1, 0(t0)
  ret
  sh t1, 0(t0)
  ret
  sw t1, 0(t0)
  ret
  sd t1, 0(t0)
  ret
  .align 2
trap:
  csrr t4, mcause
  bltz t4, interrupted
  csrr t4, mepc
  addi t4, t4, 4
  csrw mepc, t4
  mret
interrupted:                  # off with it, until the next access
  li t4, 0x80
  csrc mstatus, t4
  mret
  .align 3
table0:
${table(chaos)}
table1:
${table(chaos)}
end:
${PCI_LIBRARY.replaceAll('j finish', 'j again')}
`;

/** A run that ended by itself, by a copy to the test finisher, say, is a run. */
function fine(vm: Vm): void {
  expect(['running', 'stopping', 'resetting', 'paused', 'shutdown', 'prelaunch']).toContain(vm.state);
}

/** Functions come and go. */
async function handle(vm: Vm, chaos: Chaos, out: Promise<unknown>[]): Promise<void> {
  for (let step = 0; step < 8; step++) {
    await sleep(chaos.below(8));
    const name = chaos.pick(['edu1', 'edu2']);
    const isSurprise = chaos.below(3) > 0;
    out.push(vm.unplug(name, { surprise: isSurprise }).catch((error: Error) => error));
    if (chaos.below(2) === 0) await sleep(1);
    try {
      vm.plug({ name, definition: edu as never, bus: 'rp0', ...MASK });
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
    }
    fine(vm);
  }
}

describe('two harts that write anything anywhere', () => {
  it.each(Array.from({ length: SEEDS }, (_, index) => index + 1))('leave the machine alive, seed %d', async (seed) => {
    const chaos = new Chaos(seed);
    const aia: Aia = AIA_KINDS[seed % AIA_KINDS.length] ?? 'none';
    const vm = await bareHarts(2, program(chaos), { aia, pci: functions, rootPorts: ['rp0'] });
    const out: Promise<unknown>[] = [];
    await handle(vm, chaos, out);
    await within(LIMIT_MS, 'pause', vm.pause());
    fine(vm);
    vm.resume();
    await handle(vm, chaos, out);
    vm.reset();
    await sleep(10);
    fine(vm);
    await within(LIMIT_MS, 'pause after reset', vm.pause());
    vm.reset();
    await vi.waitFor(() => expect(['paused', 'running']).toContain(vm.state), { timeout: LIMIT_MS });
    vm.resume();
    await sleep(5);
    fine(vm);
    await within(LIMIT_MS, 'stop', vm.stop());
    // Who waited for a function hears of it; what else came was a name that is in no slot.
    for (const error of await within(LIMIT_MS, 'answers', Promise.all(out))) {
      if (error !== undefined && !(error instanceof ConfigError)) {
        expect((error as Error).message).toBe('the machine was stopped');
      }
    }
  });
});
