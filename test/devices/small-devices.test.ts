import { describe, expect, it } from 'vitest';
import { aclint } from '../../actors/misc/aclint.ts';
import { type FinishRequest, testFinisher } from '../../actors/misc/test-finisher.ts';
import { goldfishRtc } from '../../actors/time/goldfish-rtc.ts';
import { SimLoop } from '../support/sim-loop.ts';

describe('the test finisher', () => {
  const finished = (value: number, offset = 0, size: 1 | 2 | 4 = 4) => {
    const requests: FinishRequest[] = [];
    const ports = { loop: new SimLoop(), finish: (request: FinishRequest) => void requests.push(request) };
    testFinisher.create(ports, undefined).mmioWrite?.(offset, value, size);
    return requests;
  };

  it.each([
    [0x5555, { kind: 'pass', code: 0 }],
    [0x7777, { kind: 'reset', code: 0 }],
    [0x002a_3333, { kind: 'fail', code: 42 }],
    [0xffff_3333, { kind: 'fail', code: 0xffff }],
  ])('takes %x', (value, request) => expect(finished(value)).toEqual([request]));

  it('takes nothing else', () => {
    expect([...finished(0x1234), ...finished(0x5555, 4), ...finished(0x55, 0, 1)]).toEqual([]);
  });
});

describe('the Goldfish clock', () => {
  const REG = { low: 0, high: 4, alarmLow: 8, alarmHigh: 12, irqEnabled: 16, clearAlarm: 20, status: 24, clearIrq: 28 };
  const EPOCH_NS = 1_700_000_000_123_456_789n;

  function rig() {
    const loop = new SimLoop({ epochNs: EPOCH_NS });
    const state = { irq: false };
    const core = goldfishRtc.create(
      {
        loop,
        irq: {
          set: (level) => {
            state.irq = level;
          },
        },
      },
      undefined,
    );
    const read = (offset: number) => core.mmioRead?.(offset, 4) as number;
    const write = (offset: number, value: number) => core.mmioWrite?.(offset, value, 4);
    const time = () => BigInt(read(REG.low)) | (BigInt(read(REG.high)) << 32n);
    const alarmIn = (delayNs: bigint) => {
      const at = time() + delayNs;
      write(REG.alarmHigh, Number(at >> 32n));
      write(REG.alarmLow, Number(at & 0xffff_ffffn));
    };
    return { core, loop, state, read, write, time, alarmIn };
  }

  it('tells the wall-clock time, and goes with the virtual clock', () => {
    const { loop, time } = rig();
    expect(time()).toBe(EPOCH_NS);
    loop.advance(5_000_000_000);
    expect(time()).toBe(EPOCH_NS + 5_000_000_000n);
  });

  it('latches the high half with the low', () => {
    const { loop, read } = rig();
    const low = read(REG.low);
    loop.advance(2 ** 32 - low);
    expect(BigInt(read(REG.high))).toBe(EPOCH_NS >> 32n);
    read(REG.low);
    expect(BigInt(read(REG.high))).toBe((EPOCH_NS >> 32n) + 1n);
  });

  it('can be set', () => {
    const { loop, time, write } = rig();
    write(REG.high, 1);
    write(REG.low, 2);
    loop.advance(10);
    expect(time()).toBe((1n << 32n) + 12n);
  });

  it('alarms once, when the interrupt is enabled', () => {
    const { loop, state, read, write, alarmIn } = rig();
    write(REG.irqEnabled, 1);
    alarmIn(1000n);
    loop.advance(999);
    expect([state.irq, read(REG.status)]).toEqual([false, 1]);
    loop.advance(1);
    expect([state.irq, read(REG.status)]).toEqual([true, 0]);
    write(REG.clearIrq, 1);
    expect(state.irq).toBe(false);
    loop.advance(10_000);
    expect(state.irq).toBe(false);
  });

  it('alarms at once for a time that has passed, and not when disarmed', () => {
    const { loop, state, write, alarmIn } = rig();
    alarmIn(0n);
    expect(state.irq).toBe(false);
    write(REG.irqEnabled, 1);
    expect(state.irq).toBe(true);
    write(REG.clearIrq, 0);
    alarmIn(100n);
    write(REG.clearAlarm, 0);
    loop.advance(1000);
    expect(state.irq).toBe(false);
  });

  it('moves its alarm when the time is set', () => {
    const { loop, state, time, write, alarmIn } = rig();
    write(REG.irqEnabled, 1);
    alarmIn(1n << 33n);
    write(REG.high, Number(time() >> 32n) + 3);
    expect(state.irq).toBe(true);
    loop.advance(2 ** 34);
  });

  it('keeps an alarm in its saved state', () => {
    const first = rig();
    first.write(REG.irqEnabled, 1);
    first.alarmIn(500n);
    const second = rig();
    second.core.load(structuredClone(first.core.save()));
    second.loop.advance(499);
    expect(second.state.irq).toBe(false);
    second.loop.advance(1);
    expect(second.state.irq).toBe(true);
  });
});

describe('the ACLINT', () => {
  function rig() {
    const state = { time: 0n, onRead: 0n };
    const harts = [0, 1].map(() => ({ msip: false, mtimecmp: { lo: 1, hi: 2 } }));
    const half = (name: 'lo' | 'hi') => Number(BigInt.asUintN(32, name === 'lo' ? state.time : state.time >> 32n));
    const core = aclint.create(
      {
        loop: new SimLoop(),
        harts: harts.map((hart) => ({
          setSoftwareInterrupt: (level) => {
            hart.msip = level;
          },
          setTimecmp: (lo, hi) => {
            hart.mtimecmp = { lo, hi };
          },
        })),
        readMtime: (name) => {
          const value = half(name);
          state.time += state.onRead;
          return value;
        },
      },
      undefined,
    );
    const read = (offset: number) => core.mmioRead?.(offset, 4) as number;
    const write = (offset: number, value: number) => core.mmioWrite?.(offset, value, 4);
    return { harts, state, read, write };
  }

  it('sends software interrupts', () => {
    const { harts, read, write } = rig();
    write(4, 0xffff_ffff);
    expect([harts[0]?.msip, harts[1]?.msip, read(0), read(4)]).toEqual([false, true, 0, 1]);
    write(4, 0xffff_fffe);
    expect(harts[1]?.msip).toBe(false);
  });

  it('reaches the halves of mtimecmp', () => {
    const { harts, read, write } = rig();
    write(0x4008, 0x8000_0000);
    write(0x400c, -1);
    expect(harts[1]?.mtimecmp).toEqual({ lo: 0x8000_0000, hi: 0xffff_ffff });
    expect([read(0x4000), read(0x4004), read(0x4008)]).toEqual([0xffff_ffff, 0xffff_ffff, 0x8000_0000]);
  });

  it('never tears mtime', () => {
    const { state, read } = rig();
    state.time = 0x1_ffff_ffffn;
    expect(read(0xbff8)).toBe(0xffff_ffff);
    state.time += 1n;
    expect([read(0xbffc), read(0xbffc)]).toEqual([1, 2]);
    // The clock moves while the device reads.
    state.onRead = 1n;
    state.time = 0x1_ffff_ffffn;
    const low = read(0xbff8);
    expect((BigInt(read(0xbffc)) << 32n) | BigInt(low)).toBeGreaterThanOrEqual(0x1_ffff_ffffn);
    expect(low).toBeLessThan(16);
  });

  it('has nothing for harts that do not exist, and no mtime to write', () => {
    const { harts, state, read, write } = rig();
    for (const offset of [8, 0x3ffc, 0x4010, 0xbff8, 0xc000, 0xfffc, 0x4001]) write(offset, 1);
    expect([read(8), read(0x4010), read(0xc000), state.time]).toEqual([0, 0, 0, 0n]);
    expect(harts.map((hart) => hart.mtimecmp.lo)).toEqual([1, 1]);
  });
});
