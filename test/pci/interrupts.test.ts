/** MSI, MSI-X and INTx: who masks what, and what pends. */
import { describe, expect, it } from 'vitest';
import { edu } from '../../actors/devices.ts';
import { CAPABILITY, COMMAND, CONFIG } from '../../src/pci/index.ts';
import { MSI_BASE, PciBench, RAM_BASE } from './bench.ts';
import { pciCounter } from './example-function.ts';
import { Guest } from './guest.ts';

const COUNTER = 0x08;
const ENTRY_BYTES = 16;
const MSIX = { enable: 0x8000, functionMask: 0x4000 } as const;

function machine() {
  const bench = new PciBench();
  bench.add('counter0', pciCounter, COUNTER, { step: 1 });
  bench.loop.advance(0);
  const guest = new Guest(bench);
  const bars = guest.scan()[1]?.bars ?? [];
  const registers = bars[0]?.base ?? 0;
  const table = bars[2]?.base ?? 0;
  const msi = guest.capability(COUNTER, CAPABILITY.msi);
  const msix = guest.capability(COUNTER, CAPABILITY.msix);
  const data = () => bench.messages.splice(0).map((message) => message.data);
  return {
    bench,
    guest,
    registers,
    table,
    msi,
    msix,
    data,
    notify: (vector: number) => bench.write(registers, vector),
  };
}

describe('MSI', () => {
  it('sends vectors in the block of data values that software gave', () => {
    const { bench, guest, msi, notify } = machine();
    guest.enableMsi(COUNTER, MSI_BASE, 0x4021);
    notify(0);
    notify(3);
    // One vector is allowed: all of them are that one.
    expect(bench.messages).toEqual([
      { address: MSI_BASE, data: 0x4021 },
      { address: MSI_BASE, data: 0x4021 },
    ]);
    guest.write(COUNTER, msi + 2, 0x21, 2);
    bench.messages.length = 0;
    for (const vector of [0, 1, 2, 3, 4]) notify(vector);
    expect(bench.messages.map(({ data }) => data)).toEqual([0x4020, 0x4021, 0x4022, 0x4023, 0x4020]);
    // Software may write any number there; it gets what there is.
    guest.write(COUNTER, msi + 2, 0x71, 2);
    bench.messages.length = 0;
    notify(7);
    expect(bench.messages.map(({ data }) => data)).toEqual([0x4023]);
  });

  it('keeps a masked vector pending and sends it once when unmasked', () => {
    const { guest, msi, notify, data } = machine();
    guest.enableMsi(COUNTER, MSI_BASE, 8);
    guest.write(COUNTER, msi + 2, 0x21, 2);
    guest.write(COUNTER, msi + 16, 0xffff_fff6, 4);
    expect(guest.read(COUNTER, msi + 16, 4)).toBe(6);
    for (const vector of [0, 1, 2, 2]) notify(vector);
    expect([data(), guest.read(COUNTER, msi + 20, 4)]).toEqual([[8], 6]);
    guest.write(COUNTER, msi + 20, 0, 4);
    guest.write(COUNTER, msi + 16, 2, 4);
    expect([data(), guest.read(COUNTER, msi + 20, 4)]).toEqual([[10], 2]);
    guest.write(COUNTER, msi + 16, 0, 4);
    guest.write(COUNTER, msi + 16, 0, 4);
    expect([data(), guest.read(COUNTER, msi + 20, 4)]).toEqual([[9], 0]);
  });

  it('sends nothing while disabled, without bus mastering, or from a function asleep', () => {
    const { guest, msi, notify, data } = machine();
    notify(0);
    guest.enableMsi(COUNTER, MSI_BASE, 8);
    guest.write(COUNTER, CONFIG.command, COMMAND.memory, 2);
    notify(0);
    guest.write(COUNTER, CONFIG.command, COMMAND.memory | COMMAND.busMaster, 2);
    guest.write(COUNTER, msi + 2, 0, 2);
    notify(0);
    expect(data()).toEqual([]);
  });

  it('is a write to memory where there is no interrupt file', () => {
    const { bench, guest, notify } = machine();
    guest.enableMsi(COUNTER, RAM_BASE + 0x40, 0xabcd);
    notify(0);
    expect([...bench.ram.subarray(0x40, 0x44)]).toEqual([0xcd, 0xab, 0, 0]);
    // Nowhere, and not even an address that a number can hold.
    const at = guest.capability(COUNTER, CAPABILITY.msi);
    guest.write(COUNTER, at + 4, 0, 4);
    notify(0);
    guest.write(COUNTER, at + 8, 0xffff_ffff, 4);
    notify(0);
    bench.loop.advance(0);
    expect(bench.messages).toEqual([]);
  });
});

describe('MSI-X', () => {
  /** Table entries with data 0x100 on, all masked as after reset. */
  function withTable() {
    const all = machine();
    const { bench, guest, msix, table } = all;
    for (let vector = 0; vector < 3; vector++) {
      bench.write(table + vector * ENTRY_BYTES, MSI_BASE + 4 * vector + 3);
      bench.write(table + vector * ENTRY_BYTES + 8, 0x100 + vector);
    }
    guest.write(COUNTER, msix + 2, MSIX.enable, 2);
    const mask = (vector: number, value: number) => bench.write(table + vector * ENTRY_BYTES + 12, value);
    return { ...all, mask, pending: () => bench.read(table + 3 * ENTRY_BYTES) };
  }

  it('says how many vectors there are and where the table is', () => {
    const { guest, msix } = machine();
    expect([
      guest.read(COUNTER, msix + 2, 2),
      guest.read(COUNTER, msix + 4, 4),
      guest.read(COUNTER, msix + 8, 4),
    ]).toEqual([2, 2, 3 * ENTRY_BYTES + 2]);
  });

  it('keeps what is masked pending, and sends it when its entry is unmasked', () => {
    const { bench, notify, data, mask, pending } = withTable();
    for (const vector of [0, 2, 2, 3, 99]) notify(vector);
    expect([data(), pending()]).toEqual([[], 0b101]);
    mask(2, 0);
    expect([bench.messages[0]?.address, data(), pending()]).toEqual([MSI_BASE + 8, [0x102], 0b001]);
    notify(2);
    expect(data()).toEqual([0x102]);
    mask(0, 0xffff_fffe);
    expect([data(), pending()]).toEqual([[0x100], 0]);
  });

  it('holds all back with the function mask, and sends what may go when it falls', () => {
    const { guest, msix, notify, data, mask, pending } = withTable();
    guest.write(COUNTER, msix + 2, MSIX.enable | MSIX.functionMask, 2);
    mask(0, 0);
    mask(1, 0);
    for (const vector of [0, 1, 2]) notify(vector);
    expect([data(), pending()]).toEqual([[], 0b111]);
    guest.write(COUNTER, msix + 2, MSIX.enable, 2);
    expect([data(), pending()]).toEqual([[0x100, 0x101], 0b100]);
  });

  it('takes accesses of 4 and 8 bytes to its entries; others read ones and write nothing', () => {
    const { bench, table } = withTable();
    // One of 8 bytes arrives as two of 4.
    bench.write(table, 0x1111_1113);
    bench.write(table + 4, 0x22);
    expect([bench.read(table), bench.read(table + 4), bench.read(table + 12)]).toEqual([0x1111_1110, 0x22, 1]);
    bench.write(table, 0xff, 1);
    bench.write(table, 0xffff, 2);
    expect([bench.read(table), bench.read(table, 2), bench.read(table, 1)]).toEqual([0x1111_1110, 0xffff, 0xff]);
    bench.write(table + 3 * ENTRY_BYTES, 0xffff_ffff);
    expect(bench.read(table + 3 * ENTRY_BYTES)).toBe(0);
  });

  it('comes before MSI, and MSI before INTx', () => {
    const { bench, guest, registers, msix, notify, data, mask } = withTable();
    mask(0, 0);
    guest.enableMsi(COUNTER, MSI_BASE, 8);
    bench.write(registers + 4, 1);
    notify(0);
    expect([data(), bench.irqs]).toEqual([[0x100], [false, false, false, false]]);
    guest.write(COUNTER, msix + 2, 0, 2);
    notify(0);
    expect([data(), bench.irqs]).toEqual([[8], [false, false, false, false]]);
    guest.write(COUNTER, guest.capability(COUNTER, CAPABILITY.msi) + 2, 0, 2);
    // INTB of device 1 is the third wire.
    expect(bench.irqs).toEqual([false, false, true, false]);
  });

  it('is as after power-on after a reset', () => {
    const { bench, guest, table, msix, notify, mask, pending } = withTable();
    notify(0);
    mask(1, 0);
    bench.functions.get('counter0')?.actor.send({ type: 'device.reset' });
    guest.write(COUNTER, CONFIG.bar0 + 8, table % 2 ** 32, 4);
    guest.write(COUNTER, CONFIG.bar0 + 12, Math.floor(table / 2 ** 32), 4);
    guest.write(COUNTER, CONFIG.command, COMMAND.memory, 2);
    expect([bench.read(table), bench.read(table + 28), pending(), guest.read(COUNTER, msix + 2, 2)]).toEqual([
      0, 1, 0, 2,
    ]);
  });
});

describe('INTx', () => {
  const raised = (bench: PciBench, at: number, value: number) => {
    bench.write(at + 0x60, value);
    return bench.irqs.map(Number).join('');
  };

  it('goes to the wire that pin and device number give, and several share one', () => {
    const bench = new PciBench();
    for (const [name, devfn] of [
      ['edu0', 0x00 + 8],
      ['edu1', 0x10],
      ['edu2', 0x28],
    ] as const)
      bench.add(name, edu, devfn, {});
    bench.loop.advance(0);
    const [, first, second, third] = new Guest(bench).scan().map(({ bars }) => bars[0]?.base ?? 0);
    expect(raised(bench, first ?? 0, 1)).toBe('0100');
    expect(raised(bench, second ?? 0, 1)).toBe('0110');
    expect(raised(bench, third ?? 0, 1)).toBe('0110');
    bench.write((first ?? 0) + 0x64, 1);
    expect(bench.irqs.map(Number).join('')).toBe('0110');
    bench.write((third ?? 0) + 0x64, 1);
    expect(bench.irqs.map(Number).join('')).toBe('0010');
    bench.remove('edu1');
    expect(bench.irqs.map(Number).join('')).toBe('0000');
  });

  it('rotates on its way through a bridge, and says in status that it is asserted', () => {
    const bench = new PciBench();
    const { secondary } = bench.addRootPort('rp0', 0x18, 'counter0');
    bench.add('counter0', pciCounter, 0, { step: 1 }, { bus: secondary });
    bench.loop.advance(0);
    const guest = new Guest(bench);
    const behind = guest.scan()[1]?.children[0];
    bench.write((behind?.bars[0]?.base ?? 0) + 4, 1);
    // INTB of device 0, INTB of the port, which is device 3: (1 + 3) mod 4.
    expect(bench.irqs).toEqual([true, false, false, false]);
    expect(guest.read(0x100, CONFIG.status, 2) & 8).toBe(8);
    guest.write(0x100, CONFIG.command, COMMAND.memory | COMMAND.intxDisable, 2);
    expect([bench.irqs[0], guest.read(0x100, CONFIG.status, 2) & 8]).toEqual([false, 8]);
    guest.write(0x100, CONFIG.command, COMMAND.memory, 2);
    expect(bench.irqs[0]).toBe(true);
    bench.write((behind?.bars[0]?.base ?? 0) + 4, 0);
    expect([bench.irqs[0], guest.read(0x100, CONFIG.status, 2) & 8]).toEqual([false, 0]);
  });
});
