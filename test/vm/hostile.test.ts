/**
 * Guests that do everything wrong. Whatever they do, the host neither throws nor hangs nor touches memory outside guest
 * RAM, and the machine can be paused, reset and stopped. Everything random comes from the seed in the test's name.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { virtTable } from '../../actors/board/virt-table.ts';
import type { Vm, VmOptions } from '../../src/index.ts';
import { assemble } from '../../src/isa/asm.ts';
import { INSTRUCTIONS } from '../../src/isa/table.ts';
import { Prng } from '../../src/util/prng.ts';
import { bare, machine, program, RAM_BASE, sleep, within } from '../support/machines.ts';

const LIMIT_MS = 10_000;
const RAM_BYTES = 16 * 2 ** 20;
/** Below this nothing lies in the machine's memory: a stray access would. Doorbells have one of their own, no larger. */
const EMPTY_BYTES = 65_536;

let memories: WebAssembly.Memory[] = [];

/** From here on the memories of machines are looked at when their test ends. */
function watchMemory(): void {
  const Memory = WebAssembly.Memory;
  vi.spyOn(WebAssembly, 'Memory').mockImplementation(function make(descriptor) {
    const memory = new Memory(descriptor);
    if (memory.buffer.byteLength > EMPTY_BYTES) memories.push(memory);
    return memory;
  });
}

afterEach(() => {
  vi.restoreAllMocks();
  for (const { buffer } of memories) {
    expect(new Uint8Array(buffer, 0, EMPTY_BYTES).every((byte) => byte === 0)).toBe(true);
  }
  memories = [];
});

/** Everything that must still work, each in time. The machine may have ended by itself; it must not have failed. */
async function survives(vm: Vm): Promise<void> {
  const fine = (): void => expect(vm.state).not.toBe('internal-error');
  fine();
  await within(LIMIT_MS, 'pause', vm.pause());
  fine();
  vm.resume();
  vm.reset();
  await sleep(10);
  fine();
  await within(LIMIT_MS, 'pause after reset', vm.pause());
  fine();
  vm.reset();
  await vi.waitFor(() => expect(vm.state).toBe('paused'), { timeout: LIMIT_MS });
  vm.resume();
  await sleep(10);
  fine();
  await within(LIMIT_MS, 'stop', vm.stop());
}

async function torments(vm: Vm, forMs = 60): Promise<void> {
  vm.console.output.subscribe(() => {});
  vm.start();
  vm.console.write('input that nobody asked for');
  await sleep(forMs);
  await survives(vm);
}

describe('a program that', () => {
  it.each([
    ['jumps to nowhere', 'li t0, 0x123456789000\njr t0'],
    ['jumps to the end of the address space', 'li t0, -4\njr t0'],
    ['runs off the end of RAM', 'li t0, RAM + 0xfffffe\njr t0'],
    ['stores to nothing', 'li t0, 0x50000000\nagain: sd t0, 0(t0)\nj again'],
    ['traps into a handler that traps', 'li t0, 0x100\ncsrw mtvec, t0\necall'],
    ['traps into a handler in a device', 'li t0, UART\ncsrw mtvec, t0\nebreak'],
    ['overwrites itself', 'la t0, again\nagain: sw zero, 0(t0)\naddi t0, t0, 4\nj again'],
    ['prints without end', 'li t0, UART\nagain: sb t0, 0(t0)\nj again'],
    ['writes to a far device without end', 'li t0, RTC\nagain: sw t0, 0x10(t0)\nj again'],
    ['writes eight bytes to a far device without end', 'li t0, RTC\nagain: sd t0, 0x10(t0)\nj again'],
    [
      'rings its alarm without end',
      'li t0, RTC\nli t1, 1\nsw t1, 0x10(t0)\nagain: sw zero, 8(t0)\nsw zero, 0x1c(t0)\nj again',
    ],
    ['resets without end', 'li t0, TEST\nli t1, 0x7777\nagain: sw t1, 0(t0)\nj again'],
    ['ends without end', 'li t0, TEST\nli t1, 0x5555\nagain: sw t1, 0(t0)\nj again'],
    ['waits with all interrupts off', 'csrw mie, zero\nagain: wfi\nj again'],
    [
      'is flooded with interrupts',
      'la t0, again\ncsrw mtvec, t0\nli t0, -1\ncsrw mie, t0\ncsrw mstatus, t0\nli t0, CLINT\nli t1, 1\nsw t1, 0(t0)\nagain: mret',
    ],
    ['fences without end', 'again: fence.i\nsfence.vma\nj again'],
  ])('%s', async (_what, source) => {
    watchMemory();
    await torments(await bare(source));
  });
});

describe('every register of every device', () => {
  const ranges = [virtTable.test, virtTable.rtc, virtTable.clint, virtTable.plic, virtTable.uart0, virtTable.mrom];
  const beyond = Object.values(virtTable).filter(({ use }) => use === 'reserved');

  /** Addresses with the registers' beginnings, where most are, well represented. */
  function addresses(random: Prng, count: number): number[] {
    return Array.from({ length: count }, (_, i) => {
      const row = (i % 8 === 0 ? beyond[i % beyond.length] : ranges[i % ranges.length]) as (typeof ranges)[number];
      const span = i % 3 === 0 ? row.lengthBytes : Math.min(row.lengthBytes, 64);
      return row.base + (random.next() % span);
    });
  }

  /** Walks a table of address and value, with every load and store there is, stepping over what faults. */
  const walk = (table: readonly (readonly [address: number, value: number])[], interrupts: boolean): string => `
      la t0, trap
      csrw mtvec, t0
      ${interrupts ? 'li t0, -1\ncsrw mie, t0\ncsrsi mstatus, 8' : ''}
      la s0, table
      la s1, end
    next:
      ld a0, 0(s0)
      ld a1, 8(s0)
      ${['sb', 'sh', 'sw', 'sd'].map((name) => `${name} a1, 0(a0)`).join('\n')}
      ${['lb', 'lbu', 'lh', 'lhu', 'lw', 'lwu', 'ld'].map((name) => `${name} a2, 0(a0)`).join('\n')}
      lr.w a2, (a0)
      sc.w a2, a1, (a0)
      amoadd.d a2, a1, (a0)
      addi s0, s0, 16
      bne s0, s1, next
      li t0, TEST
      li t1, 0x5555
      sw t1, 0(t0)
    wait: j wait
    .align 2
    trap:
      csrr t5, mcause
      bltz t5, interrupted
      csrr t5, mepc
      addi t5, t5, 4
      csrw mepc, t5
      mret
    interrupted:        # the level stays: off with it, for this one stretch
      csrw mie, zero
      mret
    .align 4
    table:
      ${table.map(([address, value]) => `.dword ${address}, ${value}`).join('\n')}
    end:
  `;

  it.each([1, 2, 3])('takes garbage of every size, seed %d', async (seed) => {
    watchMemory();
    const random = new Prng(seed);
    // A value with both halves; none that asks the test finisher for the end.
    const value = (): number => (random.next() & 0x1f_ffff) * 2 ** 32 + ((random.next() & 0xffff_ffff) >>> 0);
    const table = addresses(random, 1500).map((address) => [address, value()] as const);
    const vm = await bare(walk(table, seed % 2 === 0), { ramBytes: RAM_BYTES });
    vm.start();
    expect(await within(30_000, 'the walk', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
    await survives(vm);
  });

  it('runs no code', async () => {
    watchMemory();
    const targets = [...ranges.map(({ base }) => base), ...beyond.map(({ base }) => base), RAM_BASE + RAM_BYTES];
    // The ROM is memory: code in it would run; here it holds none but at its beginning.
    const addressesOf = targets.map((base) => (base === virtTable.mrom.base ? base + 0x800 : base));
    const vm = await bare(
      `
      la s2, trap
      csrw mtvec, s2
      la s0, table
      la s1, end
    next:
      ld a0, 0(s0)
      jalr ra, 0(a0)
    back:
      addi s0, s0, 8
      bne s0, s1, next
      li t0, TEST
      li t1, 0x5555
      sw t1, 0(t0)
    wait: j wait
    .align 2
    trap:
      csrw mepc, ra
      mret
    .align 4
    table:
      ${addressesOf.map((address) => `.dword ${address}`).join('\n')}
    end:
    `,
      { ramBytes: RAM_BYTES },
    );
    vm.start();
    expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
  });
});

describe('random programs', () => {
  /** CSRs that decide what happens next; the others follow by accident. */
  const LOADED = ['medeleg', 'mideleg', 'mie', 'menvcfg', 'mcounteren', 'senvcfg', 'stimecmp'] as const;

  /**
   * Puts nonsense into the CSRs and registers, page tables of nonsense under satp, and leaves for a random mode and
   * place; what is there is random bytes or random valid instructions.
   */
  function nonsense(random: Prng, options: { readonly valid: boolean }): Uint8Array {
    const inRam = (): bigint => BigInt(RAM_BASE + (random.next() & 0xf_fffe));
    const wide = (): bigint => (BigInt(random.next() >>> 0) << 32n) | BigInt(random.next() >>> 0);
    const setCsr = (name: string, value: bigint): string => `li t0, ${value}\ncsrw ${name}, t0`;
    const satp = (BigInt([0, 8, 9, 10][random.next() & 3] ?? 0) << 60n) | (inRam() >> 12n);
    const source = [
      'la t0, on',
      'csrw mtvec, t0',
      ...LOADED.map((name) => setCsr(name, wide())),
      ...['pmpaddr0', 'pmpaddr1', 'pmpaddr2'].map((name) => setCsr(name, wide() >> 10n)),
      setCsr('pmpaddr3', (1n << 54n) - 1n),
      // No locked bits in the first three, and all of memory open behind them, so that something happens.
      setCsr('pmpcfg0', 0x1f00_0000n | (wide() & 0x0707_07n)),
      setCsr('satp', satp),
      setCsr('mstatus', (wide() & ~0x1800n) | ([0n, 0x800n, 0x1800n][random.next() % 3] ?? 0n)),
      setCsr('mepc', inRam()),
      setCsr('stvec', inRam()),
      setCsr('mtvec', inRam() & ~1n),
      ...Array.from({ length: 30 }, (_, i) => `li x${i + 2}, ${random.next() % 3 === 0 ? wide() : inRam()}`),
      'mret',
      '.align 2',
      'on: csrr t0, mepc',
      'addi t0, t0, 4',
      'csrw mepc, t0',
      'mret',
    ].join('\n');
    const start = program(source);
    const bytes = new Uint8Array(2 ** 20);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; at += 4)
      view.setUint32(at, options.valid ? instruction(random) : random.next(), true);
    bytes.set(start);
    return bytes;
  }

  function instruction(random: Prng): number {
    const insn = INSTRUCTIONS[(random.next() >>> 0) % INSTRUCTIONS.length] as (typeof INSTRUCTIONS)[number];
    const word = (random.next() & ~insn.mask) | insn.match;
    return insn.length === 2 ? (word & 0xffff) | (random.next() << 16) : word;
  }

  it.each([1, 2, 3, 4, 5, 6])('in M mode of random bytes, seed %d', async (seed) => {
    watchMemory();
    const kernel = nonsense(new Prng(seed), { valid: false });
    await torments(await machine({ bios: 'none', kernel }), 40);
  });

  it.each([11, 12, 13, 14, 15, 16])('in M mode of random instructions, seed %d', async (seed) => {
    watchMemory();
    const kernel = nonsense(new Prng(seed), { valid: true });
    await torments(await machine({ bios: 'none', kernel }), 40);
  });

  it.each([21, 22, 23])('in S mode on the built-in SBI, seed %d', async (seed) => {
    watchMemory();
    const random = new Prng(seed);
    const words = new Uint32Array(65_536).map(() => instruction(random));
    await torments(await machine({ kernel: new Uint8Array(words.buffer) }), 40);
  });
});

describe('the built-in SBI', () => {
  it.each([1, 2])('answers calls with any arguments, seed %d', async (seed) => {
    watchMemory();
    const options: VmOptions = { kernel: sbiCalls(seed) };
    const vm = await machine(options);
    vm.console.output.subscribe(() => {});
    vm.start();
    expect(await within(20_000, 'the calls', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
    await survives(vm);
  });

  /** Calls of every extension and function, with arguments that are small, huge, in RAM and outside. */
  function sbiCalls(seed: number): Uint8Array {
    const random = new Prng(seed);
    const extensions = [
      0x10, 0x54494d45, 0x735049, 0x52464e43, 0x48534d, 0x4442434e, 0, 1, 2, 3, 4, 5, 6, 7, 9, 0x12345,
    ];
    const argument = (): bigint => {
      const bits = BigInt(random.next() >>> 0);
      const wide = BigInt.asUintN(64, bits << 33n) | bits;
      const kinds = [bits & 7n, BigInt(RAM_BASE) + (bits & 0xff_ffffn), wide, BigInt.asUintN(64, ~(bits & 0xfffn))];
      return kinds[random.next() & 3] as bigint;
    };
    const calls = Array.from({ length: 1000 }, () => {
      const extension = extensions[(random.next() >>> 0) % extensions.length] ?? 0;
      const values = [extension, random.next() & 7, argument(), argument(), argument(), argument(), argument()];
      return `.dword ${values.join(', ')}`;
    });
    const source = `
      la t0, trap
      csrw stvec, t0
      la s0, table
      la s1, end
    next:
      ld a7, 0(s0)
      ld a6, 8(s0)
      ld a0, 16(s0)
      ld a1, 24(s0)
      ld a2, 32(s0)
      ld a3, 40(s0)
      ld a4, 48(s0)
      ecall
      addi s0, s0, 56
      bne s0, s1, next
      li a7, 0x53525354
      li a6, 0
      li a0, 0
      li a1, 0
      ecall
    wait: j wait
    .align 2
    trap:
      csrr t0, sepc
      addi t0, t0, 4
      csrw sepc, t0
      sret
    .align 4
    table:
      ${calls.join('\n')}
    end:
    `;
    return assemble(source, { base: RAM_BASE + 0x20_0000 }).bytes;
  }
});
