/** What harts tell each other from WebAssembly to WebAssembly, beside what the host does in their place. Needs the build. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { DoorbellConsumer, DoorbellProducer, type DoorbellWords } from '../../src/channel/doorbell.ts';
import { Hart } from '../../src/hart/hart.ts';
import { HART_SIGNAL, INTERRUPT_FILE_BYTES, MSI_IDENTITIES, msiSignal } from '../../src/hart/hart-signals.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { ARENA, EXIT, PENDING } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { createMemory, layOutMemory } from '../../src/memory/layout.ts';
import { sbiExtension } from '../../src/sbi/extensions.ts';
import { hartsOf } from '../../src/sbi/function.ts';
import type { SbiHost } from '../../src/sbi/host.ts';
import { loadHartModules } from '../../src/vm-modules.ts';

const HARTS = 3;
const SENDER = 1;
const RAM_BASE = 0x8000_0000;
const RAM_BYTES = 2 ** 20;
const FILES = { machine: 0x2400_0000, supervisor: 0x2800_0000 } as const;
const SIGNAL_WORDS = (HART_SIGNAL.msi + 2 * MSI_IDENTITIES) / 32;
const SSIP = 1n << BigInt(INTERRUPT.ssi);

const modules = await loadHartModules();
const layout = layOutMemory({ vcpus: HARTS, arenaBytes: ARENA.lengthBytes, ramBytes: RAM_BYTES });

interface Bench {
  readonly harts: readonly Hart[];
  readonly bells: readonly DoorbellProducer[];
  readonly consumers: readonly DoorbellConsumer[];
  readonly memory: WebAssembly.Memory;
}

function makeBench(aia: 'none' | 'imsic', neighbours: number | null = HARTS): Bench {
  const memory = createMemory(layout);
  const words = layout.doorbells.map((byteOffset): DoorbellWords => {
    return { buffer: memory.buffer as unknown as SharedArrayBuffer, byteOffset, signalWords: SIGNAL_WORDS };
  });
  const harts = words.map(({ byteOffset }, hartId) => {
    const hart = new Hart({
      memory,
      modules,
      arena: layout.arenas[hartId] ?? 0,
      doorbell: byteOffset,
      ram: { base: RAM_BASE, host: layout.ram, lengthBytes: RAM_BYTES },
      hartId,
      readMtime: () => {},
      sbi: true,
      aia,
      ...(neighbours !== null && { neighbours: { harts: neighbours, ipiExtension: sbiExtension.ipi } }),
    });
    hart.reset(BigInt(RAM_BASE));
    const lengthBytes = HARTS * INTERRUPT_FILE_BYTES;
    if (aia === 'imsic') {
      const pages = (base: number) => ({ base, lengthBytes });
      hart.setInterruptFiles({ machine: pages(FILES.machine), supervisor: pages(FILES.supervisor) });
    }
    return hart;
  });
  const consumers = words.map((one) => new DoorbellConsumer(one));
  for (const consumer of consumers) {
    consumer.begin();
    consumer.takeSignals();
  }
  return { harts, consumers, memory, bells: words.map((one) => new DoorbellProducer(one, null)) };
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new RangeError(`nothing at ${index}`);
  return found;
}

/** The signals that a hart's doorbell has. */
function signalsOf({ consumers }: Bench, hart: number): number[] {
  const seen: number[] = [];
  at(consumers, hart).begin();
  at(consumers, hart).takeSignals((signal) => seen.push(signal));
  return seen;
}

function load({ memory }: Bench, source: string): void {
  const { bytes } = assemble(source, { base: RAM_BASE });
  new Uint8Array(memory.buffer, layout.ram).set(bytes);
}

let bench: Bench;

describe('a running hart', () => {
  const IDLE = 'again: addi t0, t0, 1\n j again';

  beforeEach(() => {
    bench = makeBench('imsic');
    load(bench, IDLE);
  });

  it('takes an IPI, and messages to both of its files, where it looks at its doorbell', () => {
    const hart = at(bench.harts, 0);
    const bell = at(bench.bells, 0);
    const identities = [
      [1, 31, 32, 200],
      [63, 64, 255],
    ];
    bell.raise(HART_SIGNAL.ipi);
    for (const [file, list] of identities.entries()) {
      for (const identity of list) bell.raise(msiSignal(at(['M', 'S'] as const, file), identity));
    }
    expect(hart.run(100_000)).toBe(EXIT.slice);
    expect(hart.get('mip') & SSIP).toBe(SSIP);
    const pending = identities.map((_, file) =>
      Array.from({ length: MSI_IDENTITIES }, (_, n) => n).filter(
        (n) => (hart.get('eip', file * 4 + (n >> 6)) >> BigInt(n & 63)) & 1n,
      ),
    );
    expect(pending).toEqual(identities);
    expect(at(bench.consumers, 0).rung()).toBe(false);
    expect(signalsOf(bench, 0)).toEqual([]);
  });

  it.each([
    ['data', (bell: DoorbellProducer) => bell.ring()],
    ['a signal of its thread', (bell: DoorbellProducer) => bell.raise(HART_SIGNAL.ipi + 1)],
  ])('leaves for %s, and takes nothing then', (_, ring) => {
    const hart = at(bench.harts, 0);
    at(bench.bells, 0).raise(HART_SIGNAL.ipi);
    ring(at(bench.bells, 0));
    expect(hart.run(100_000)).toBe(EXIT.doorbell);
    expect(hart.takeSignals()).toBe(false);
    expect(hart.get('mip') & SSIP).toBe(0n);
    expect(signalsOf(bench, 0)).toContain(HART_SIGNAL.ipi);
  });

  it('that has no interrupt files leaves what lies behind the state to its loop', () => {
    bench = makeBench('none');
    load(bench, IDLE);
    at(bench.bells, 0).raise(msiSignal('M', 5));
    expect(at(bench.harts, 0).run(1000)).toBe(EXIT.doorbell);
    at(bench.consumers, 0).begin();
    at(bench.consumers, 0).takeSignals();
    at(bench.bells, 0).raise(HART_SIGNAL.ipi);
    expect(at(bench.harts, 0).run(1000)).toBe(EXIT.slice);
  });

  it('says whether it was told anything', () => {
    const hart = at(bench.harts, 0);
    expect(hart.takeSignals()).toBe(false);
    at(bench.bells, 0).raise(HART_SIGNAL.ipi);
    expect(hart.takeSignals()).toBe(true);
    expect(hart.takeSignals()).toBe(false);
  });
});

describe('a store to an interrupt file', () => {
  /** Runs one store in M mode. @returns whether it was left to the host */
  function store(gpa: number, value: number, op = 'sw'): boolean {
    const hart = at(bench.harts, SENDER);
    load(bench, `${op} t1, 0(t0)\n again: j again`);
    hart.set('pc', BigInt(RAM_BASE));
    hart.setWord('priv', 3);
    hart.setWord('pendingState', 0);
    hart.set('x', BigInt(gpa), 5);
    hart.set('x', BigInt(value), 6);
    hart.flush();
    return hart.run(2) === EXIT.access;
  }

  beforeEach(() => {
    bench = makeBench('imsic');
  });

  it('of another hart is a signal to it, and to nobody else', () => {
    for (const [file, base] of [
      ['M', FILES.machine],
      ['S', FILES.supervisor],
    ] as const) {
      for (const target of [0, 2]) {
        for (const identity of [1, 31, 32, 255]) {
          expect(store(base + target * INTERRUPT_FILE_BYTES, identity)).toBe(false);
          const signal = msiSignal(file, identity);
          expect([0, 1, 2].map((hart) => signalsOf(bench, hart))).toEqual(
            [0, 1, 2].map((hart) => (hart === target ? [signal] : [])),
          );
        }
      }
    }
  });

  it('of its own interrupts it right behind that', () => {
    const hart = at(bench.harts, SENDER);
    hart.set('eidelivery', 1n);
    hart.set('eie', 1n << 5n);
    hart.set('mie', 1n << BigInt(INTERRUPT.mei));
    hart.set('mstatus', 8n);
    hart.set('mtvec', BigInt(RAM_BASE + 4));
    expect(store(FILES.machine + SENDER * INTERRUPT_FILE_BYTES, 5)).toBe(false);
    expect(hart.word('pendingState')).toBe(PENDING.none);
    expect(hart.get('mcause')).toBe((1n << 63n) | BigInt(INTERRUPT.mei));
    expect(hart.get('mepc')).toBe(BigInt(RAM_BASE + 4));
    expect([0, 1, 2].flatMap((target) => signalsOf(bench, target))).toEqual([]);
  });

  it.each([
    ['big-endian', FILES.machine + 4, 5, 'sw'],
    ['the rest of the page', FILES.machine + 8, 5, 'sw'],
    ['identity 0', FILES.machine, 0, 'sw'],
    ['an identity that there is not', FILES.machine, 256, 'sw'],
    ['a negative number', FILES.supervisor, -1, 'sw'],
    ['a hart that there is not', FILES.machine + HARTS * INTERRUPT_FILE_BYTES, 5, 'sw'],
    ['in front of them', FILES.machine - INTERRUPT_FILE_BYTES, 5, 'sw'],
    ['of 8 bytes', FILES.machine, 5, 'sd'],
    ['of 2 bytes', FILES.machine, 5, 'sh'],
    ['of 1 byte', FILES.machine, 5, 'sb'],
  ])('is left to the host: %s', (_, gpa, value, op) => {
    expect(store(gpa, value, op)).toBe(true);
    expect([0, 1, 2].flatMap((hart) => signalsOf(bench, hart))).toEqual([]);
  });

  it('is left to the host while nothing lies there', () => {
    at(bench.harts, SENDER).setInterruptFiles(null);
    expect(store(FILES.machine, 5)).toBe(true);
  });

  it('that the host has answered is not sent again', () => {
    const hart = at(bench.harts, SENDER);
    expect(store(FILES.machine + 4, 5)).toBe(true);
    // The same one, which its answer comes to.
    hart.set('pendingGpa', BigInt(FILES.machine));
    hart.set('x', BigInt(FILES.machine), 5);
    hart.setWord('pendingState', 2);
    expect(hart.run(1)).toBe(EXIT.slice);
    expect(signalsOf(bench, 0)).toEqual([]);
  });

  it('wakes a hart whose thread sleeps', async () => {
    const state = new Int32Array(bench.memory.buffer, layout.doorbells[0], 1);
    expect(at(bench.consumers, 0).park()).toBe(true);
    const { waitAsync } = Atomics as unknown as {
      waitAsync(words: Int32Array, index: number, value: number): { async: boolean; value: Promise<string> };
    };
    const { async: isWaiting, value } = waitAsync(state, 0, state[0] ?? 0);
    expect(isWaiting).toBe(true);
    expect(store(FILES.machine, 5)).toBe(false);
    await expect(value).resolves.toBe('ok');
    at(bench.consumers, 0).unpark();
    expect(signalsOf(bench, 0)).toEqual([msiSignal('M', 5)]);
  });
});

describe('the SBI call that sends IPIs', () => {
  const OTHER_HARTS = { harts: [0, 1, 2], hart: SENDER } as unknown as SbiHost;

  function call(mask: bigint, base: bigint, extension: number = sbiExtension.ipi, fid = 0n): number {
    const hart = at(bench.harts, SENDER);
    load(bench, 'ecall\n again: j again');
    hart.set('pc', BigInt(RAM_BASE));
    hart.setWord('priv', 1);
    hart.set('pmpaddr', (1n << 54n) - 1n);
    hart.set('pmpcfg', 0x1fn);
    hart.afterLoad();
    for (const [register, value] of [
      [10, mask],
      [11, base],
      [16, fid],
      [17, BigInt(extension)],
    ] as const) {
      hart.set('x', value, register);
    }
    return hart.run(2);
  }

  beforeEach(() => {
    bench = makeBench('none');
  });

  const UINT64 = (1n << 64n) - 1n;
  const BASES = [0n, 1n, 2n, 3n, 63n, 64n, UINT64 - 1n, UINT64, 1n << 63n];
  const MASKS = [0n, 1n, 2n, 3n, 4n, 5n, 7n, 8n, UINT64, 1n << 63n, (1n << 63n) | 1n];

  it('is made there for every mask of harts, and left to the host for all else', () => {
    for (const base of BASES) {
      for (const mask of MASKS) {
        const harts = hartsOf(OTHER_HARTS, mask, base);
        const isMade = base < BigInt(HARTS) && harts !== null;
        at(bench.harts, SENDER).set('mip', 0n);
        expect(call(mask, base), `${mask} ${base}`).toBe(isMade ? EXIT.slice : EXIT.sbi);
        const told = [0, 1, 2].filter((hart) => {
          const has = (at(bench.harts, hart).get('mip') & SSIP) !== 0n;
          return hart === SENDER ? has : signalsOf(bench, hart).includes(HART_SIGNAL.ipi);
        });
        expect(told, `${mask} ${base}`).toEqual(isMade ? harts : []);
        if (isMade) expect([10, 11].map((register) => at(bench.harts, SENDER).get('x', register))).toEqual([0n, 0n]);
      }
    }
  });

  it('is known by its numbers', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, UINT64), fc.bigInt(0n, UINT64), (extension, fid) => {
        fc.pre(extension !== BigInt(sbiExtension.ipi) || fid !== 0n);
        expect(call(1n, 0n, Number(extension & 0xffff_ffffn), fid)).toBe(EXIT.sbi);
      }),
    );
    expect(call(1n, 0n, sbiExtension.ipi, 1n)).toBe(EXIT.sbi);
    expect(call(1n, 0n, sbiExtension.ipi, 1n << 32n)).toBe(EXIT.sbi);
    expect(signalsOf(bench, 0)).toEqual([]);
  });

  it("is the host's where the hart has no neighbours", () => {
    bench = makeBench('none', null);
    expect(call(1n, 0n)).toBe(EXIT.sbi);
    expect(call(0n, 0n)).toBe(EXIT.sbi);
  });
});
