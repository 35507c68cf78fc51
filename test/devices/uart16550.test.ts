import { describe, expect, it } from 'vitest';
import { uart16550 } from '../../actors/char/uart16550.ts';
import { SimLoop } from '../support/sim-loop.ts';

const REG = { data: 0, ier: 1, iir: 2, fcr: 2, lcr: 3, mcr: 4, lsr: 5, msr: 6, scr: 7 } as const;
const FIFOS_TRIGGER_8 = 0x81;
/** Longer than the device takes from enabling the receive interrupt to the first byte. */
const SETTLE_NS = 3_000_000;

function rig() {
  const loop = new SimLoop();
  const input: number[] = [];
  const output: number[] = [];
  const state = { irq: false, room: Number.POSITIVE_INFINITY, takenBack: 0 };
  const core = uart16550.create(
    {
      loop,
      irq: {
        set: (level) => {
          state.irq = level;
        },
      },
      char: {
        read: () => input.shift() ?? -1,
        write: (byte) => {
          if (state.room === 0) return false;
          state.room -= 1;
          output.push(byte);
          return true;
        },
      },
      takeBackAnswers: () => {
        state.takenBack += 1;
      },
    },
    undefined,
  );
  const read = (register: number) => core.mmioRead?.(register, 1) as number;
  const write = (register: number, value: number) => core.mmioWrite?.(register, value, 1);
  const type = (text: string) => {
    input.push(...new TextEncoder().encode(text));
    core.handle?.({ type: 'char.readable' });
  };
  /** As a driver opens the port. */
  const open = () => {
    write(REG.fcr, FIFOS_TRIGGER_8);
    write(REG.ier, 0x01);
    loop.advance(SETTLE_NS);
  };
  return { core, loop, input, output, state, read, write, type, open };
}

describe('registers', () => {
  it('start as the data sheet says', () => {
    const { read } = rig();
    expect([REG.ier, REG.iir, REG.lcr, REG.lsr, REG.msr].map(read)).toEqual([0, 0x01, 0, 0x60, 0xb0]);
  });

  it('keep the bits they have', () => {
    const { read, write } = rig();
    for (const [register, kept] of [
      [REG.ier, 0x0f],
      [REG.lcr, 0x7f],
      [REG.mcr, 0x1f],
      [REG.scr, 0xff],
    ] as const) {
      write(register, kept === 0x7f ? 0x7f : 0xff);
      expect(read(register)).toBe(kept);
    }
  });

  it('hide the divisor behind DLAB', () => {
    const { read, write, output } = rig();
    write(REG.lcr, 0x83);
    write(REG.data, 0x34);
    write(REG.ier, 0x12);
    expect([read(REG.data), read(REG.ier)]).toEqual([0x34, 0x12]);
    write(REG.lcr, 0x03);
    expect([read(REG.ier), output]).toEqual([0, []]);
  });

  it('answer to wider accesses as to narrow ones', () => {
    const { core } = rig();
    expect(core.mmioRead?.(REG.lsr, 4)).toBe(0x60);
    core.mmioWrite?.(REG.scr, 0x1234_5678, 4);
    expect(core.mmioRead?.(REG.scr, 1)).toBe(0x78);
    expect(core.mmioRead?.(8, 1)).toBe(0);
  });
});

describe('sending', () => {
  it('is immediate and raises the transmit interrupt, which reading IIR clears', () => {
    const { read, write, output, state } = rig();
    write(REG.ier, 0x02);
    expect([state.irq, read(REG.iir), state.irq, read(REG.iir)]).toEqual([true, 0x02, false, 0x01]);
    write(REG.data, 65);
    expect([output, state.irq, read(REG.iir)]).toEqual([[65], true, 0x02]);
  });

  it('waits in the FIFO while the back end is full, in order', () => {
    const { core, read, write, output, state } = rig();
    write(REG.fcr, FIFOS_TRIGGER_8);
    write(REG.ier, 0x02);
    read(REG.iir);
    state.room = 1;
    for (const byte of [1, 2, 3]) write(REG.data, byte);
    expect([output, read(REG.lsr) & 0x60, read(REG.iir)]).toEqual([[1], 0, 0xc1]);
    state.room = 1;
    core.handle?.({ type: 'char.writable' });
    expect([output, read(REG.lsr) & 0x60]).toEqual([[1, 2], 0]);
    state.room = 9;
    core.handle?.({ type: 'char.writable' });
    expect([output, read(REG.lsr) & 0x60, state.irq]).toEqual([[1, 2, 3], 0x60, true]);
  });

  it('into a full FIFO is lost, as on the chip', () => {
    const { core, write, output, state } = rig();
    write(REG.fcr, FIFOS_TRIGGER_8);
    state.room = 0;
    for (let byte = 0; byte < 20; byte++) write(REG.data, byte);
    state.room = 100;
    core.handle?.({ type: 'char.writable' });
    expect(output).toEqual(Array.from({ length: 16 }, (_, byte) => byte));
  });
});

describe('an answer of LSR', () => {
  type Rig = ReturnType<typeof rig>;
  const stands = ({ core }: Rig, register: number = REG.lsr): boolean => core.standing?.(register, 1) !== 0;
  const DISTURBED: [string, (given: Rig) => void][] = [
    ['input has come', ({ open, type }) => [open(), type('a')]],
    ['the back end is full', ({ state, write }) => [Object.assign(state, { room: 0 }), write(REG.data, 1)]],
    ['DLAB is set', ({ write }) => write(REG.lcr, 0x80)],
    ['it is in loopback', ({ write }) => write(REG.mcr, 0x10)],
  ];

  it('stands as long as bytes go out, and no other does', () => {
    const given = rig();
    expect([REG.iir, REG.lsr, REG.msr].map((register) => stands(given, register))).toEqual([false, true, false]);
    for (let byte = 0; byte < 100; byte++) given.write(REG.data, byte);
    expect([stands(given), given.state.takenBack]).toEqual([true, 0]);
  });

  it.each(DISTURBED)('is taken back, and does not stand, where %s', (_, disturb) => {
    const given = rig();
    expect(stands(given)).toBe(true);
    disturb(given);
    expect([stands(given), given.state.takenBack > 0]).toEqual([false, true]);
  });

  it('is taken back by a reset', () => {
    const given = rig();
    given.core.reset();
    expect(given.state.takenBack).toBe(1);
  });

  it('loses no byte that was sent behind it, though the back end is full meanwhile', () => {
    const given = rig();
    const { core, write, output, state } = given;
    expect(stands(given)).toBe(true);
    state.room = 0;
    const bytes = Array.from({ length: 255 }, (_, i) => i);
    for (const byte of bytes) write(REG.data, byte);
    const other = rig();
    other.core.load(core.save());
    for (const { core: one, state: room } of [given, other]) {
      room.room = Number.POSITIVE_INFINITY;
      one.handle?.({ type: 'char.writable' });
    }
    expect([output, other.output]).toEqual([bytes, bytes]);
  });
});

describe('receiving', () => {
  it('interrupts at the trigger level, and after silence below it', () => {
    const { loop, read, type, open, state } = rig();
    open();
    type('1234567');
    expect([state.irq, read(REG.iir)]).toEqual([false, 0xc1]);
    type('8');
    expect([state.irq, read(REG.iir)]).toEqual([true, 0xc4]);
    expect(read(REG.data)).toBe(0x31);
    expect(state.irq).toBe(false);
    loop.advance(10_000_000);
    expect([state.irq, read(REG.iir)]).toEqual([true, 0xcc]);
    expect([read(REG.data), state.irq]).toEqual([0x32, false]);
  });

  it('takes no more than the FIFO holds, and the rest as it is read', () => {
    const { input, read, type, open } = rig();
    open();
    type('x'.repeat(40));
    expect(input).toHaveLength(24);
    let count = 0;
    for (; (read(REG.lsr) & 1) !== 0; count++) read(REG.data);
    expect([count, input, read(REG.lsr)]).toEqual([40, [], 0x60]);
  });

  it('loses nothing that was typed before the guest listens', () => {
    const { input, loop, read, write, type } = rig();
    type('early');
    // A driver probes, clears and opens the port, and reads RBR for luck behind that.
    for (const fcr of [0x01, 0x07, 0x00]) write(REG.fcr, fcr);
    for (const register of [REG.lsr, REG.data, REG.iir, REG.msr]) read(register);
    write(REG.fcr, FIFOS_TRIGGER_8);
    write(REG.ier, 0x05);
    read(REG.data);
    expect(input).toHaveLength(5);
    loop.advance(SETTLE_NS);
    expect(input).toEqual([]);
    expect(Array.from({ length: 5 }, () => String.fromCharCode(read(REG.data))).join('')).toBe('early');
  });

  it('serves a guest that polls, one byte at a time', () => {
    const { input, read, type } = rig();
    type('ab');
    const poll = () => {
      for (let tries = 0; tries < 100; tries++) if ((read(REG.lsr) & 1) !== 0) return read(REG.data);
      return -1;
    };
    expect([poll(), input.length, poll(), poll()]).toEqual([0x61, 1, 0x62, -1]);
  });

  it('gives nothing to a driver that looks at LSR only to print', () => {
    const { input, read, write, type } = rig();
    type('ab');
    for (let count = 0; count < 50; count++) {
      read(REG.lsr);
      read(REG.lsr);
      write(REG.data, 65);
    }
    expect(input).toHaveLength(2);
  });

  it('is cleared by FCR', () => {
    const { read, write, type, open } = rig();
    open();
    type('abc');
    write(REG.fcr, FIFOS_TRIGGER_8 | 2);
    expect(read(REG.lsr) & 1).toBe(0);
  });
});

describe('loopback', () => {
  it('brings bytes and modem lines back, and overruns', () => {
    const { read, write, output, state } = rig();
    write(REG.fcr, FIFOS_TRIGGER_8);
    write(REG.mcr, 0x1a);
    expect(read(REG.msr)).toBe(0x90);
    write(REG.ier, 0x04);
    for (let byte = 0; byte < 17; byte++) write(REG.data, byte);
    expect([output, state.irq, read(REG.iir), read(REG.lsr)]).toEqual([[], true, 0xc6, 0x63]);
    expect([state.irq, read(REG.lsr), read(REG.data)]).toEqual([false, 0x61, 0]);
  });
});

describe('state', () => {
  it('goes on elsewhere in the middle of everything', () => {
    const first = rig();
    first.open();
    first.type('abc');
    first.state.room = 0;
    first.write(REG.data, 90);
    const second = rig();
    second.loop.advance(SETTLE_NS);
    second.core.load(structuredClone(first.core.save()));
    second.loop.advance(10_000_000);
    expect([second.state.irq, second.read(REG.iir), second.read(REG.data)]).toEqual([true, 0xcc, 0x61]);
    second.core.handle?.({ type: 'char.writable' });
    expect(second.output).toEqual([90]);
  });
});
