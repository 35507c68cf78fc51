/** Hot-plug and hot-unplug, with the guest's side as Linux's pciehp does it. */
import { describe, expect, it } from 'vitest';
import { edu } from '../../actors/devices.ts';
import { CAPABILITY, COMMAND, CONFIG, EXPRESS, SLOT_CONTROL, SLOT_STATUS } from '../../src/pci/index.ts';
import { MSI_BASE, PciBench, RAM_BASE } from './bench.ts';
import { Guest } from './guest.ts';

const PORT = 0x08;
const SLOT = 0x100;
const EDU_ID = 0x11e8_1234;
const ONES = 0xffff_ffff;
const MSI_DATA = 0x77;
/** The bits of an address that reach the bench's RAM. */
const DMA = { dmaMask: 0xffff_ffffn };

/** pciehp in small: what it writes, in its order. */
class Pciehp {
  readonly bench: PciBench;
  readonly guest: Guest;
  readonly #at: number;

  constructor(bench: PciBench, isMsi = true) {
    this.bench = bench;
    this.guest = new Guest(bench);
    this.guest.scan();
    this.#at = this.guest.capability(PORT, CAPABILITY.express);
    if (isMsi) this.guest.enableMsi(PORT, MSI_BASE, MSI_DATA);
    this.takeEvents();
    // pcie_enable_notification: with a button, presence is not asked for.
    const { linkState, attentionButton, interrupt, commandCompleted } = SLOT_CONTROL;
    this.command(
      linkState | attentionButton | interrupt | commandCompleted,
      linkState | attentionButton | interrupt | commandCompleted,
    );
    this.bench.messages.length = 0;
  }

  get status(): number {
    return this.guest.read(PORT, this.#at + EXPRESS.slotStatus, 2);
  }

  get isLinkUp(): boolean {
    return (this.guest.read(PORT, this.#at + EXPRESS.linkStatus, 2) & 0x2000) !== 0;
  }

  get interrupts(): number {
    return this.bench.messages.splice(0).filter(({ data }) => data === MSI_DATA).length;
  }

  /** Reads the events and clears them, until there are none: the interrupt handler. */
  takeEvents(): number {
    let all = 0;
    for (let rounds = 0; rounds < 8; rounds++) {
      const events = this.status & SLOT_STATUS.events;
      if (events === 0) break;
      all |= events;
      this.guest.write(PORT, this.#at + EXPRESS.slotStatus, events, 2);
    }
    return all;
  }

  /** Writes slot control, and waits for the command to be completed. */
  command(mask: number, value: number): void {
    const control = this.guest.read(PORT, this.#at + EXPRESS.slotControl, 2);
    this.guest.write(PORT, this.#at + EXPRESS.slotControl, (control & ~mask) | value, 2);
    expect(this.status & SLOT_STATUS.commandCompleted).toBe(SLOT_STATUS.commandCompleted);
    this.guest.write(PORT, this.#at + EXPRESS.slotStatus, SLOT_STATUS.commandCompleted, 2);
  }

  /** board_added: power on, look at the link, configure. @returns the BAR's address */
  enable(): number {
    this.command(SLOT_CONTROL.powerOff, 0);
    expect(this.isLinkUp).toBe(true);
    expect(this.guest.read(SLOT, CONFIG.vendorId, 4)).toBe(EDU_ID);
    const base = 0x4010_0000;
    this.guest.write(PORT, CONFIG.command, 7, 2);
    this.guest.write(PORT, 0x20, 0x4010_4010, 4);
    this.guest.write(SLOT, CONFIG.bar0, base, 4);
    this.guest.write(SLOT, CONFIG.command, COMMAND.memory | COMMAND.busMaster, 2);
    this.command(SLOT_CONTROL.powerIndicator, SLOT_CONTROL.powerIndicatorOn);
    this.takeEvents();
    return base;
  }

  /** remove_board. */
  disable(): void {
    this.guest.write(SLOT, CONFIG.command, 0, 2);
    this.command(SLOT_CONTROL.powerOff, SLOT_CONTROL.powerOff);
    this.takeEvents();
    this.command(SLOT_CONTROL.powerIndicator, SLOT_CONTROL.powerIndicatorOff);
  }
}

function machine(occupant?: string) {
  const bench = new PciBench();
  const port = bench.addRootPort('rp0', PORT, occupant);
  const plug = (name: string) => {
    bench.add(name, edu, 0, DMA, { bus: port.secondary });
    port.actor.send({ type: 'pci.plug', function: name });
    bench.loop.advance(0);
  };
  if (occupant !== undefined) bench.add(occupant, edu, 0, DMA, { bus: port.secondary });
  bench.loop.advance(0);
  return {
    bench,
    port,
    plug,
    unplug: (isSurprise = false) => port.actor.send({ type: 'pci.unplug-request', isSurprise }),
  };
}

describe('a root port', () => {
  it('begins without power when its slot is empty, and with the link up when it is not', () => {
    const empty = new Pciehp(machine().bench);
    expect([empty.isLinkUp, empty.status & SLOT_STATUS.present]).toEqual([false, 0]);
    expect(empty.guest.read(SLOT, 0, 4)).toBe(ONES);
    const full = new Pciehp(machine('edu0').bench);
    expect([full.isLinkUp, full.status & SLOT_STATUS.present]).toEqual([true, SLOT_STATUS.present]);
    expect(full.guest.read(SLOT, 0, 4)).toBe(EDU_ID);
  });

  it('presses the button for what is plugged in; the guest switches it on and uses it', () => {
    const { bench, plug } = machine();
    const driver = new Pciehp(bench);
    plug('edu0');
    expect(driver.interrupts).toBe(1);
    expect(driver.takeEvents()).toBe(SLOT_STATUS.attentionButton | SLOT_STATUS.presenceChanged);
    expect([driver.isLinkUp, driver.guest.read(SLOT, 0, 4)]).toEqual([false, ONES]);
    const base = driver.enable();
    expect(bench.read(base)).toBe(0x0100_00ed);
    expect(bench.slotEvents).toEqual([]);
  });

  it('lets a function go when the guest, asked to, has switched its slot off', () => {
    const { bench, unplug } = machine('edu0');
    const driver = new Pciehp(bench);
    const base = driver.enable();
    bench.messages.length = 0;
    unplug();
    expect([driver.interrupts, driver.takeEvents()]).toEqual([1, SLOT_STATUS.attentionButton]);
    expect(bench.slotEvents).toEqual([]);
    driver.disable();
    expect(bench.slotEvents).toEqual([{ type: 'pci.released', function: 'edu0' }]);
    expect([driver.status & SLOT_STATUS.present, driver.isLinkUp]).toEqual([0, false]);
    expect([driver.guest.read(SLOT, 0, 4), bench.read(base)]).toEqual([ONES, ONES]);
    expect(bench.topology.regions.has('edu0.bar0')).toBe(false);
  });

  it('can be filled and emptied again and again', () => {
    const { bench, plug, unplug } = machine();
    const driver = new Pciehp(bench);
    for (let round = 0; round < 5; round++) {
      plug(`edu${round}`);
      driver.takeEvents();
      expect(bench.read(driver.enable())).toBe(0x0100_00ed);
      unplug();
      driver.takeEvents();
      driver.disable();
    }
    expect(bench.slotEvents.length).toBe(5);
    expect([...bench.functions.keys()]).toEqual(['gpex', 'rp0']);
  });

  it('keeps a function whose slot the guest switches off by itself, reset', () => {
    const { bench } = machine('edu0');
    const driver = new Pciehp(bench);
    const base = driver.enable();
    bench.write(base + 4, 5);
    driver.disable();
    expect(bench.slotEvents).toEqual([]);
    expect(driver.status & SLOT_STATUS.present).toBe(SLOT_STATUS.present);
    expect([driver.guest.read(SLOT, 0, 4), bench.read(base)]).toEqual([ONES, ONES]);
    driver.enable();
    expect(bench.read(base + 4)).toBe(0);
  });

  it('reports a surprise: presence and link go, registers read all ones', () => {
    const { bench, unplug } = machine('edu0');
    const driver = new Pciehp(bench);
    const base = driver.enable();
    bench.messages.length = 0;
    unplug(true);
    expect(bench.slotEvents).toEqual([{ type: 'pci.released', function: 'edu0' }]);
    expect(driver.interrupts).toBe(1);
    expect(driver.takeEvents()).toBe(SLOT_STATUS.presenceChanged | SLOT_STATUS.linkChanged);
    // At once, before the map has changed; and after.
    expect([bench.read(base), driver.guest.read(SLOT, 0, 4)]).toEqual([ONES, ONES]);
    bench.loop.advance(0);
    expect(bench.read(base)).toBe(ONES);
  });

  it('lets go of what is asked back before the guest has switched it on', () => {
    const { bench, plug, unplug } = machine();
    const driver = new Pciehp(bench);
    plug('edu0');
    unplug();
    expect(bench.slotEvents).toEqual([{ type: 'pci.released', function: 'edu0' }]);
    expect(driver.status & SLOT_STATUS.present).toBe(0);
  });

  it('refuses a second function, and to give what it has not', () => {
    const { bench, port, unplug } = machine();
    unplug();
    port.actor.send({ type: 'pci.plug', function: 'a' });
    port.actor.send({ type: 'pci.plug', function: 'b' });
    expect(bench.slotEvents).toEqual([
      { type: 'pci.refused', function: '' },
      { type: 'pci.refused', function: 'b' },
    ]);
  });

  it('drives its pin as long as there is an event, where there is no MSI', () => {
    const { bench, plug } = machine();
    const driver = new Pciehp(bench, false);
    expect(bench.irqs).toEqual([false, false, false, false]);
    plug('edu0');
    expect(bench.irqs).toEqual([false, true, false, false]);
    driver.takeEvents();
    expect(bench.irqs).toEqual([false, false, false, false]);
  });

  it('sends one message for events until all are taken', () => {
    const { bench, plug, unplug } = machine();
    const driver = new Pciehp(bench);
    plug('edu0');
    unplug(true);
    plug('edu1');
    expect(driver.interrupts).toBe(1);
    driver.takeEvents();
    unplug(true);
    // Without power there was no link to lose, and presence asks for no interrupt.
    expect(driver.interrupts).toBe(0);
  });

  it('takes the link down when the guest disables it', () => {
    const { bench } = machine('edu0');
    const driver = new Pciehp(bench);
    const control = driver.guest.capability(PORT, CAPABILITY.express) + EXPRESS.linkControl;
    driver.guest.write(PORT, control, 0x10, 2);
    expect([driver.isLinkUp, driver.guest.read(SLOT, 0, 4)]).toEqual([false, ONES]);
    driver.guest.write(PORT, control, 0, 2);
    expect([driver.isLinkUp, driver.guest.read(SLOT, 0, 4)]).toEqual([true, EDU_ID]);
    expect(driver.takeEvents()).toBe(SLOT_STATUS.linkChanged);
  });

  it('keeps what is in its slot over a reset of the machine', () => {
    const { bench, port, plug } = machine();
    const driver = new Pciehp(bench);
    plug('edu0');
    for (const { actor } of bench.functions.values()) actor.send({ type: 'device.reset' });
    bench.host.reset();
    bench.loop.advance(0);
    expect(port.actor.getSnapshot().view).toMatchObject({ occupant: 'edu0', isLinkUp: true });
    expect(driver.guest.scan()[1]?.children[0]?.id).toBe(EDU_ID);
    expect(driver.takeEvents()).toBe(0);
  });
});

describe('a transfer', () => {
  it.each(['before its time', 'under way'])('that is %s ends with its device', (when) => {
    const { bench, unplug } = machine('edu0');
    const driver = new Pciehp(bench);
    const base = driver.enable();
    bench.ram.fill(0x5a);
    for (const [register, value] of [
      [0x80, 0x4_0000],
      [0x88, RAM_BASE],
      [0x90, 64],
      [0x98, 7],
    ] as const) {
      bench.write(base + register, value);
    }
    bench.messages.length = 0;
    if (when === 'under way') {
      const write = bench.dma.write;
      // Taken out inside the access that the transfer makes.
      bench.dma.write = (...request) => {
        unplug(true);
        write(...request);
      };
    } else {
      unplug(true);
    }
    bench.loop.advance(10_000_000);
    expect(bench.slotEvents).toEqual([{ type: 'pci.released', function: 'edu0' }]);
    expect(bench.ram[0]).toBe(when === 'under way' ? 0 : 0x5a);
    // The slot's message alone.
    expect(driver.interrupts).toBe(1);
    expect(bench.messages).toEqual([]);
    driver.takeEvents();
  });
});
