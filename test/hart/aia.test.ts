/** The AIA's CSRs and interrupt files in the runtime module, then a whole hart that messages wake. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Hart, type HartOptions } from '../../src/hart/hart.ts';
import { AIA, ARENA, EXIT, STATUS } from '../../src/hart/state.ts';
import { csrNumber } from '../../src/isa/csr-names.ts';
import { createMemory, layOutMemory } from '../../src/memory/layout.ts';
import { loadHartModules } from '../../src/vm-modules.ts';
import { type Machine, MODE, makeMachine, RAM_BASE } from './machine.ts';

const M_FILE = 0;
const S_FILE = 1;
const SSI = 1n << 1n;
const MSI = 1n << 3n;
const STI = 1n << 5n;
const SEI = 1n << 9n;
const MEI = 1n << 11n;
const STCE = 1n << 63n;
const ALL = (1n << 64n) - 1n;
const EIDELIVERY = 0x70;
const EITHRESHOLD = 0x72;
const EIP0 = 0x80;
const EIE0 = 0xc0;
const AIA_CSRS = [
  ...['miselect', 'mireg', 'mtopei', 'mtopi', 'mvien', 'mvip'],
  ...['siselect', 'sireg', 'stopei', 'stopi'],
];

class AiaMachine {
  readonly machine: Machine = makeMachine();

  constructor(aia: keyof typeof AIA = 'imsic') {
    this.machine.set('aia', AIA[aia]);
  }

  read(name: string): bigint {
    return this.machine.readCsr(csrNumber(name));
  }
  write(name: string, value: bigint): void {
    this.machine.writeCsr(csrNumber(name), value);
  }
  /** csrrw */
  swap(name: string, value = 0n): bigint {
    return this.machine.run('csr', csrNumber(name), 0, value, 1, 1).value;
  }
  /** Whether reading, or writing, is refused now. */
  refuses(name: string, writes = false): boolean {
    const before = this.machine.get('priv');
    const { status } = this.machine.run('csr', csrNumber(name), 0, 0n, 1, writes ? 1 : 0);
    if (status !== STATUS.next) expect(this.machine.lastTrap().cause).toBe(2n);
    this.machine.setUp({ priv: before });
    return status !== STATUS.next;
  }
  readFile(level: 'm' | 's', select: number): bigint {
    this.write(`${level}iselect`, BigInt(select));
    return this.read(`${level}ireg`);
  }
  writeFile(level: 'm' | 's', select: number, value: bigint): void {
    this.write(`${level}iselect`, BigInt(select));
    this.write(`${level}ireg`, value);
  }
  receive(file: number, identity: number): void {
    this.machine.run('receiveMsi', file, identity);
  }
  /** Delivery on, every identity enabled. */
  open(level: 'm' | 's'): void {
    this.writeFile(level, EIDELIVERY, 1n);
    for (let k = 0; k < 8; k += 2) this.writeFile(level, EIE0 + k, ALL);
  }
  /** Takes what is due and says what it was: cause without its top bit, and the mode it led to. */
  take(): { cause: bigint; mode: bigint } | null {
    const { status } = this.machine.run('interrupts');
    if (status === STATUS.next) return null;
    const mode = this.machine.get('priv');
    const cause = this.machine.get(mode === MODE.m ? 'mcause' : 'scause');
    expect(cause >> 63n).toBe(1n);
    return { cause: cause & 63n, mode };
  }
}

const top = (identity: number): bigint => BigInt(identity) * 0x1_0001n;
const topi = (interrupt: number): bigint => (BigInt(interrupt) << 16n) | 1n;

describe('an interrupt file', () => {
  test('has 255 identities, none of them 0', () => {
    const aia = new AiaMachine();
    for (const base of [EIP0, EIE0]) {
      for (let k = 0; k < 64; k += 2) {
        aia.writeFile('m', base + k, ALL);
        expect(aia.readFile('m', base + k)).toBe(k >= 8 ? 0n : k === 0 ? ALL - 1n : ALL);
        expect(aia.readFile('s', base + k)).toBe(0n);
      }
    }
  });

  test('is claimed from, the lowest identity first', () => {
    const aia = new AiaMachine();
    for (const file of [M_FILE, S_FILE]) for (const identity of [255, 64, 3, 128, 63]) aia.receive(file, identity);
    for (const level of ['m', 's'] as const) {
      aia.open(level);
      for (const identity of [3, 63, 64, 128, 255]) expect(aia.swap(`${level}topei`)).toBe(top(identity));
      expect(aia.swap(`${level}topei`)).toBe(0n);
    }
  });

  test('ignores messages of identities that are not there', () => {
    const aia = new AiaMachine();
    aia.open('m');
    for (const identity of [0, 256, 0x8000_0001, 0xffff_ffff]) aia.receive(M_FILE, identity);
    expect(aia.read('mtopei')).toBe(0n);
    expect(aia.read('mip')).toBe(0n);
  });

  test('holds back what reaches the threshold', () => {
    const aia = new AiaMachine();
    aia.open('s');
    aia.receive(S_FILE, 10);
    for (const [threshold, isSignalled] of [
      [0n, true],
      [1n, false],
      [10n, false],
      [11n, true],
      [255n, true],
    ] as const) {
      aia.writeFile('s', EITHRESHOLD, threshold);
      expect(aia.readFile('s', EITHRESHOLD)).toBe(threshold);
      expect(aia.read('stopei')).toBe(isSignalled ? top(10) : 0n);
      expect(aia.read('mip')).toBe(isSignalled ? SEI : 0n);
    }
  });

  test('claims nothing behind the threshold', () => {
    const aia = new AiaMachine();
    aia.open('m');
    aia.receive(M_FILE, 10);
    aia.writeFile('m', EITHRESHOLD, 10n);
    expect(aia.swap('mtopei')).toBe(0n);
    expect(aia.readFile('m', EIP0)).toBe(1n << 10n);
  });

  test('without delivery signals nothing, but tells', () => {
    const aia = new AiaMachine();
    aia.open('m');
    aia.writeFile('m', EIDELIVERY, 0n);
    aia.receive(M_FILE, 7);
    expect(aia.read('mtopei')).toBe(top(7));
    expect(aia.read('mip')).toBe(0n);
    aia.writeFile('m', EIDELIVERY, 1n);
    expect(aia.read('mip')).toBe(MEI);
    // Another interrupt controller in its place is not there.
    aia.writeFile('m', EIDELIVERY, 0x4000_0000n);
    expect(aia.readFile('m', EIDELIVERY)).toBe(0n);
  });

  test('has registers that are reserved, and odd ones that are not there', () => {
    const aia = new AiaMachine();
    for (const level of ['m', 's'] as const) {
      for (let select = 0; select < 0x200; select++) {
        aia.write(`${level}iselect`, BigInt(select));
        const isPriority = select >= 0x30 && select < 0x40 && select % 2 === 0;
        const isFile = (select >= 0x70 && select < 0x80) || (select >= 0x80 && select < 0x100 && select % 2 === 0);
        expect([select, aia.refuses(`${level}ireg`)]).toEqual([select, !(isPriority || isFile)]);
      }
      for (const select of [0x30, 0x3e, 0x71, 0x73, 0x7f]) {
        aia.writeFile(level, select, ALL);
        expect(aia.readFile(level, select)).toBe(0n);
      }
    }
  });

  test('signals what a plain model of it does', () => {
    const shared = new AiaMachine();
    const step = fc.oneof(
      fc.record({ kind: fc.constant('receive' as const), value: fc.integer({ min: 0, max: 300 }) }),
      fc.record({ kind: fc.constant('claim' as const), value: fc.constant(0) }),
      fc.record({ kind: fc.constant('enable' as const), value: fc.integer({ min: 0, max: 255 }) }),
      fc.record({ kind: fc.constant('threshold' as const), value: fc.integer({ min: 0, max: 255 }) }),
      fc.record({ kind: fc.constant('delivery' as const), value: fc.integer({ min: 0, max: 1 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pending = new Set<number>();
        const enabled = new Set<number>();
        let [threshold, delivery] = [0, 0];
        for (const select of [EIDELIVERY, EITHRESHOLD, ...[0, 2, 4, 6].flatMap((k) => [EIP0 + k, EIE0 + k])]) {
          shared.writeFile('s', select, 0n);
        }
        const first = (): number =>
          [...pending].sort((a, b) => a - b).find((i) => enabled.has(i) && (threshold === 0 || i < threshold)) ?? 0;
        for (const { kind, value } of steps) {
          if (kind === 'receive') {
            shared.receive(S_FILE, value);
            if (value > 0 && value < 256) pending.add(value);
          } else if (kind === 'claim') {
            const identity = first();
            expect(shared.swap('stopei')).toBe(top(identity));
            pending.delete(identity);
          } else if (kind === 'enable') {
            const select = EIE0 + 2 * Math.floor(value / 64);
            const bits = shared.readFile('s', select);
            shared.writeFile('s', select, bits | (1n << BigInt(value % 64)));
            if (value > 0) enabled.add(value);
          } else if (kind === 'threshold') {
            shared.writeFile('s', EITHRESHOLD, BigInt(value));
            threshold = value;
          } else {
            shared.writeFile('s', EIDELIVERY, BigInt(value));
            delivery = value;
          }
          expect(shared.read('stopei')).toBe(top(first()));
          expect(shared.read('mip')).toBe(delivery === 1 && first() !== 0 ? SEI : 0n);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('major interrupts', () => {
  test('mtopi and stopi name what would be taken, in the default order', () => {
    const order = [11, 3, 7, 9, 1, 5];
    for (const mideleg of [0n, SSI, SEI | STI, SSI | STI | SEI]) {
      const aia = new AiaMachine();
      aia.machine.setUp({ mie: 0xaaan, mideleg, menvcfg: STCE, mtimecmp: 0n, stimecmp: 0n });
      aia.machine.call('setInterruptLine')(3, 1);
      for (const file of [M_FILE, S_FILE]) aia.receive(file, 1);
      aia.open('m');
      aia.open('s');
      aia.write('mip', SSI);
      const [forM, forS] = [false, true].map((isDelegated) =>
        order.filter((interrupt) => ((mideleg >> BigInt(interrupt)) & 1n) === (isDelegated ? 1n : 0n)),
      );
      for (const interrupt of forM ?? []) {
        expect(aia.read('mtopi')).toBe(topi(interrupt));
        aia.machine.setUp({ priv: MODE.u });
        expect(aia.take()).toEqual({ cause: BigInt(interrupt), mode: MODE.m });
        aia.machine.setUp({ mie: aia.machine.get('mie') & ~(1n << BigInt(interrupt)) });
      }
      expect(aia.read('mtopi')).toBe(0n);
      for (const interrupt of forS ?? []) {
        aia.machine.setUp({ priv: MODE.m });
        expect(aia.read('stopi')).toBe(topi(interrupt));
        aia.machine.setUp({ priv: MODE.u });
        expect(aia.take()).toEqual({ cause: BigInt(interrupt), mode: MODE.s });
        aia.machine.setUp({ mie: aia.machine.get('mie') & ~(1n << BigInt(interrupt)) });
      }
      aia.machine.setUp({ priv: MODE.m });
      expect(aia.read('stopi')).toBe(0n);
    }
  });

  test('the file of S level interrupts M mode, or S mode when SEI is delegated', () => {
    for (const [mideleg, mode] of [
      [0n, MODE.m],
      [SEI, MODE.s],
    ] as const) {
      const aia = new AiaMachine();
      aia.open('s');
      aia.receive(S_FILE, 5);
      aia.machine.setUp({ mie: SEI, mideleg, priv: MODE.u });
      expect(aia.take()).toEqual({ cause: 9n, mode });
      expect(aia.take()).toBeNull();
    }
  });

  test("with an IMSIC the lines of external interrupts are the files', without one they are wires", () => {
    const wired = new AiaMachine('csrs');
    const filed = new AiaMachine();
    for (const bit of [9, 11]) for (const { machine } of [wired, filed]) machine.call('setInterruptLine')(bit, 1);
    expect([wired.read('mip'), filed.read('mip')]).toEqual([SEI | MEI, 0n]);
    wired.machine.setUp({ mie: SEI | MEI });
    expect(wired.read('mtopi')).toBe(topi(11));
  });

  test('SEIP that software wrote is apart from the line', () => {
    const aia = new AiaMachine();
    aia.open('s');
    aia.receive(S_FILE, 5);
    // csrrs of another bit: the line does not become software's.
    aia.machine.run('csr', csrNumber('mip'), 1, SSI, 1, 1);
    expect([aia.read('mip'), aia.read('mvip')]).toEqual([SEI | SSI, SSI]);
    aia.swap('stopei');
    expect(aia.read('mip')).toBe(SSI);
  });

  test('a reset empties the files and drops their lines', () => {
    const aia = new AiaMachine();
    aia.open('m');
    aia.receive(M_FILE, 9);
    aia.machine.call('reset')(RAM_BASE);
    expect([aia.read('mip'), aia.read('mtopei'), aia.readFile('m', EIE0)]).toEqual([0n, 0n, 0n]);
  });
});

describe('mvien and mvip', () => {
  test('what can be written', () => {
    const aia = new AiaMachine();
    aia.write('mvien', ALL);
    expect(aia.read('mvien')).toBe(SSI | SEI);
    aia.write('mvip', ALL);
    expect(aia.read('mvip')).toBe(SSI | STI | SEI);
    aia.machine.setUp({ menvcfg: STCE });
    expect(aia.read('mvip')).toBe(SSI | SEI);
    for (const level of ['m', 's'] as const) {
      aia.write(`${level}iselect`, ALL);
      expect(aia.read(`${level}iselect`)).toBe(0x1ffn);
    }
  });

  test('mvip is mip by another name where mvien is clear', () => {
    const aia = new AiaMachine();
    aia.write('mvip', SSI | STI | SEI);
    expect([aia.read('mip'), aia.read('sip')]).toEqual([SSI | STI | SEI, 0n]);
    aia.write('mip', 0n);
    expect(aia.read('mvip')).toBe(0n);
  });

  test('a filtered interrupt has bits of its own in sip and sie', () => {
    const aia = new AiaMachine();
    aia.write('mvien', SSI | SEI);
    aia.write('mvip', SEI);
    expect([aia.read('mip'), aia.read('sip')]).toEqual([0n, SEI]);
    // sip.SSIP is mvip's, sip.SEIP is read-only.
    aia.write('sip', SSI);
    expect([aia.read('mip'), aia.read('mvip')]).toEqual([0n, SSI | SEI]);
    aia.write('mip', SSI | SEI);
    expect([aia.read('mip'), aia.read('mvip')]).toEqual([SSI, SSI | SEI]);
    aia.write('sie', ALL);
    expect([aia.read('sie'), aia.read('mie')]).toEqual([SSI | SEI, 0n]);
    // Delegated it is mip's and mie's again.
    aia.write('mideleg', SEI);
    expect([aia.read('sie'), aia.read('sip')]).toEqual([SSI, SSI]);
  });

  test('a virtual interrupt traps to S mode, the real one to M mode', () => {
    const aia = new AiaMachine();
    aia.open('s');
    aia.receive(S_FILE, 2);
    aia.write('mvien', SEI);
    aia.write('sie', SEI);
    aia.machine.setUp({ mie: SEI, priv: MODE.u });
    expect(aia.take()).toEqual({ cause: 9n, mode: MODE.m });
    expect(aia.read('stopi')).toBe(0n);
    aia.write('mie', 0n);
    aia.write('mvip', SEI);
    expect([aia.read('mtopi'), aia.read('stopi')]).toEqual([0n, topi(9)]);
    aia.machine.setUp({ priv: MODE.u });
    expect(aia.take()).toEqual({ cause: 9n, mode: MODE.s });
  });
});

describe('who may access', () => {
  test.each(['none', 'csrs', 'imsic'] as const)('a hart with AIA: %s', (presence) => {
    const aia = new AiaMachine(presence);
    aia.machine.setUp({ miselect: 0x70n, siselect: 0x70n });
    for (const name of AIA_CSRS) {
      const needsFile = /ireg|topei/.test(name);
      expect([name, aia.refuses(name)]).toEqual([name, presence === 'none' || (needsFile && presence === 'csrs')]);
    }
    aia.machine.setUp({ miselect: 0x30n, siselect: 0x3en });
    for (const name of ['mireg', 'sireg']) expect(aia.refuses(name)).toBe(presence === 'none');
  });

  test('by privilege; mtopi and stopi are read-only', () => {
    const aia = new AiaMachine();
    for (const name of AIA_CSRS) {
      aia.machine.setUp({ miselect: 0x70n, siselect: 0x70n });
      expect(aia.refuses(name, true)).toBe(name.endsWith('topi'));
      aia.machine.setUp({ priv: MODE.s });
      expect(aia.refuses(name)).toBe(name.startsWith('m'));
      aia.machine.setUp({ priv: MODE.u });
      expect(aia.refuses(name)).toBe(true);
      aia.machine.setUp({ priv: MODE.m });
    }
    // No hypervisor: vsiselect, vsireg, vstopei, vstopi; RV64: no high halves.
    for (const csr of [0x250, 0x251, 0x25c, 0xeb0, 0x313, 0x314, 0x318, 0x319, 0x354, 0x114, 0x154]) {
      expect(aia.machine.run('csr', csr, 1, 0n, 1, 0).status).toBe(STATUS.refetch);
    }
  });

  test('mvien keeps S mode out of its file, not out of the priorities', () => {
    const aia = new AiaMachine();
    aia.machine.setUp({ mvien: SEI, siselect: 0x70n });
    expect([aia.refuses('stopei'), aia.refuses('sireg')]).toEqual([false, false]);
    aia.machine.setUp({ priv: MODE.s });
    expect([aia.refuses('stopei'), aia.refuses('sireg'), aia.refuses('stopi')]).toEqual([true, true, false]);
    aia.machine.setUp({ siselect: 0x30n });
    expect(aia.refuses('sireg')).toBe(false);
    aia.machine.setUp({ mvien: SSI, siselect: 0x70n });
    expect([aia.refuses('stopei'), aia.refuses('sireg')]).toEqual([false, false]);
  });
});

const modules = await loadHartModules();

describe('a hart', () => {
  const WFI = 0x1050_0073;
  const NOP = 0x13;

  /** Stands in front of a WFI at the start of its RAM, the rest is nops. */
  function makeHart(options: Pick<HartOptions, 'aia'>): Hart {
    const layout = layOutMemory({ vcpus: 1, arenaBytes: ARENA.lengthBytes, ramBytes: 0x1_0000 });
    const memory = createMemory(layout);
    const [arena = 0] = layout.arenas;
    const [doorbell = 0] = layout.doorbells;
    const ram = { base: Number(RAM_BASE), host: layout.ram, lengthBytes: 0x1_0000 };
    const hart = new Hart({
      memory,
      modules,
      arena,
      doorbell,
      ram,
      hartId: 0,
      readMtime: () => {},
      sbi: false,
      ...options,
    });
    const code = new Uint32Array(memory.buffer, layout.ram, 0x100).fill(NOP);
    code[0] = WFI;
    hart.reset(RAM_BASE);
    hart.set('mtvec', RAM_BASE + 0x100n);
    return hart;
  }

  test.each(['M', 'S'] as const)('waiting for an interrupt, is woken by a message to its %s-level file', (file) => {
    const hart = makeHart({ aia: 'imsic' });
    const index = file === 'M' ? 0 : 1;
    hart.set('eidelivery', 1n, index);
    hart.set('eie', 1n << 3n, 4 * index + 3);
    hart.set('mie', MEI | SEI);
    hart.set('mstatus', 8n);
    expect(hart.run(10)).toBe(EXIT.wfi);
    hart.receiveMsi(file, 194);
    expect(hart.interruptPending).toBe(false);
    hart.receiveMsi(file, 195);
    expect(hart.interruptPending).toBe(true);
    expect(hart.run(10)).toBe(EXIT.slice);
    expect(hart.get('mcause')).toBe((1n << 63n) | (file === 'M' ? 11n : 9n));
    expect(hart.get('mepc')).toBe(RAM_BASE + 4n);
  });

  test('without an IMSIC takes no messages', () => {
    for (const aia of ['none', 'csrs'] as const) {
      const hart = makeHart({ aia });
      hart.receiveMsi('M', 5);
      expect(hart.get('eip')).toBe(0n);
    }
    expect(makeHart({}).word('aia')).toBe(AIA.none);
  });

  test('a virtual interrupt ends WFI too', () => {
    const hart = makeHart({ aia: 'imsic' });
    for (const [field, value] of [
      ['mvien', SSI],
      ['sie', SSI],
      ['mie', MSI],
    ] as const) {
      hart.set(field, value);
    }
    expect(hart.run(10)).toBe(EXIT.wfi);
    hart.set('mvip', SSI);
    expect(hart.interruptPending).toBe(true);
  });
});
