import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { finishSbiCall, makeSbiCall, sbiFunctions } from '../../src/sbi/call.ts';
import { sbiExtension } from '../../src/sbi/extensions.ts';
import { hartStartError, hartState, sbiError, sbiFailure, sbiSuccess } from '../../src/sbi/host.ts';
import { MockHost, RAM_BASE } from './mock-host.ts';

const ALL = 2n ** 64n - 1n;
const { base, time, ipi, rfence, hsm, srst, dbcn } = sbiExtension;

/** Makes a call; the answer as signed error and unsigned value. */
function call(host: MockHost, eid: number, fid: number, ...args: (number | bigint)[]) {
  args.forEach((value, index) => {
    host.x[10 + index] = BigInt.asUintN(64, BigInt(value));
  });
  host.x[16] = BigInt(fid);
  host.x[17] = BigInt(eid);
  const status = makeSbiCall(host);
  return { status, error: Number(BigInt.asIntN(64, host.readX(10))), value: host.readX(11) };
}

const answers = (error: number, value = 0n) => ({ status: 'done', error, value });
const success = (value = 0n) => answers(sbiError.success, value);

describe('dispatch', () => {
  it.each([
    [0x12345, 0],
    [0x09, 0],
    [time, 1],
    [hsm, 4],
    [0x504d55, 0],
  ])('answers NOT_SUPPORTED to %x/%d', (eid, fid) => {
    expect(call(new MockHost(), eid, fid, 0, 0).error).toBe(sbiError.notSupported);
  });

  it('has each function once', () => {
    const keys = sbiFunctions.map(({ eid, fid }) => `${eid}/${fid}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('leaves all registers but a0 and a1 alone', () => {
    const host = new MockHost();
    host.x[12] = 77n;
    call(host, base, 0);
    expect(host.x[12]).toBe(77n);
    expect(host.x[17]).toBe(BigInt(base));
  });

  it('leaves the registers of a pending call alone until it is finished', () => {
    const host = new MockHost();
    host.answer = 'pending';
    expect(call(host, rfence, 0, 3, 0)).toEqual({ status: 'pending', error: 3, value: 0n });
    finishSbiCall(host, BigInt(rfence), sbiSuccess());
    expect([host.x[10], host.x[11]]).toEqual([0n, 0n]);
  });

  it('takes any registers without a throw', () => {
    const register = fc.oneof(fc.bigInt(0n, ALL), fc.constantFrom(0n, 1n, ALL, BigInt(RAM_BASE)));
    const known = fc.constantFrom(...sbiFunctions);
    fc.assert(
      fc.property(known, fc.array(register, { minLength: 6, maxLength: 6 }), ({ eid, fid }, args) => {
        expect(() => call(new MockHost(), eid, fid ?? 0, ...args)).not.toThrow();
      }),
      { numRuns: 2000 },
    );
  });
});

describe('base', () => {
  it('is version 2.0', () => expect(call(new MockHost(), base, 0)).toEqual(success(0x0200_0000n)));
  it('has an implementation id and version', () => {
    expect(call(new MockHost(), base, 1)).toEqual(success(0x4248n));
    expect(call(new MockHost(), base, 2)).toEqual(success(1n));
  });
  it.each(Object.entries(sbiExtension))('finds %s', (_, eid) => {
    expect(call(new MockHost(), base, 3, eid)).toEqual(success(1n));
  });
  it('finds the legacy console and not what is missing', () => {
    expect(call(new MockHost(), base, 3, 1)).toEqual(success(1n));
    expect(call(new MockHost(), base, 3, 0x504d55)).toEqual(success(0n));
    expect(call(new MockHost(), base, 3, ALL)).toEqual(success(0n));
  });
  it('reports the machine', () => {
    expect([4, 5, 6].map((fid) => call(new MockHost(), base, fid).value)).toEqual([1n, 2n, 3n]);
  });
});

describe('time and IPIs', () => {
  it('sets the timer, to never as well', () => {
    const host = new MockHost();
    expect(call(host, time, 0, ALL)).toEqual(success());
    expect(host.log).toEqual([['setTimer', ALL]]);
  });
  it.each([
    ['a mask', 0b11, 0, [0, 1]],
    ['a mask with a base', 0b10001, 1, [1, 5]],
    ['everybody', 0, ALL, [0, 1, 5]],
    ['nobody', 0, 99, []],
  ])('sends to %s', (_, mask, from, harts) => {
    const host = new MockHost();
    expect(call(host, ipi, 0, mask, from)).toEqual(success());
    expect(host.log).toEqual(harts.map((hart) => ['sendIpi', hart]));
  });
  it.each([
    [0b100, 0],
    [1, 2],
    [1, ALL - 1n],
  ])('refuses a mask with a hart that does not exist (%d from %d)', (mask, from) => {
    const host = new MockHost();
    expect(call(host, ipi, 0, mask, from)).toEqual(answers(sbiError.invalidParam));
    expect(host.log).toEqual([]);
  });
});

describe('remote fences', () => {
  const fenced = (fid: number, ...args: (number | bigint)[]) => {
    const host = new MockHost();
    expect(call(host, rfence, fid, ...args)).toEqual(success());
    return host.log[0]?.[1];
  };
  it('fences instructions', () => {
    expect(fenced(0, 1, 0, 5, 5)).toEqual({ kind: 'instruction', harts: [0], start: 0n, lengthBytes: null, asid: 0 });
  });
  it('fences a range', () => {
    const range = { harts: [0, 1], start: 0x1000n, lengthBytes: 0x2000n };
    expect(fenced(1, 3, 0, 0x1000, 0x2000, 7)).toEqual({ kind: 'address', ...range, asid: 0 });
    expect(fenced(2, 3, 0, 0x1000, 0x2000, 7)).toEqual({ kind: 'address-asid', ...range, asid: 7 });
  });
  it.each([
    [0, 0],
    [0x1000, ALL],
    [0, ALL],
  ])('takes %d and %d for everything', (start, size) => {
    expect(fenced(1, 0, ALL, start, size)).toMatchObject({ lengthBytes: null, harts: [0, 1, 5] });
  });
  it('refuses harts that do not exist, and ranges that wrap', () => {
    expect(call(new MockHost(), rfence, 0, 4, 0)).toEqual(answers(sbiError.invalidParam));
    expect(call(new MockHost(), rfence, 1, 1, 0, ALL, 2)).toEqual(answers(sbiError.invalidAddress));
    expect(call(new MockHost(), rfence, 1, 1, 0, ALL, 1)).toEqual(success());
  });
  it.each([3, 4, 5, 6])('has no hypervisor fence %d', (fid) => {
    expect(call(new MockHost(), rfence, fid, 1, 0)).toEqual(answers(sbiError.notSupported));
  });
});

describe('hart state management', () => {
  it('starts a hart', () => {
    const host = new MockHost();
    expect(call(host, hsm, 0, 5, RAM_BASE, 42)).toEqual(success());
    expect(host.log).toEqual([['hartStart', 5, { startGpa: RAM_BASE, opaque: 42n }]]);
  });
  it('refuses unknown harts and places that are no RAM', () => {
    expect(call(new MockHost(), hsm, 0, 2, RAM_BASE, 0)).toEqual(answers(sbiError.invalidParam));
    for (const address of [0, RAM_BASE + 1, ALL, RAM_BASE + 2 ** 21]) {
      expect(call(new MockHost(), hsm, 0, 5, address, 0)).toEqual(answers(sbiError.invalidAddress));
    }
  });
  it('passes on what the other hart answers', () => {
    const host = new MockHost();
    host.answer = sbiFailure(hartStartError(hartState.started));
    expect(call(host, hsm, 0, 1, RAM_BASE, 0)).toEqual(answers(sbiError.alreadyAvailable));
    expect(hartStartError(hartState.stopped)).toBe(sbiError.success);
  });
  it('stops the caller, who gets no answer', () => {
    const host = new MockHost();
    host.answer = 'pending';
    expect(call(host, hsm, 1).status).toBe('pending');
    host.answer = sbiFailure(sbiError.failed);
    expect(call(host, hsm, 1)).toEqual(answers(sbiError.failed));
  });
  it('tells a status', () => {
    const host = new MockHost();
    host.answer = sbiSuccess(BigInt(hartState.suspended));
    expect(call(host, hsm, 2, 1)).toEqual(success(4n));
    expect(call(host, hsm, 2, 9)).toEqual(answers(sbiError.invalidParam));
  });
  it('suspends, both ways', () => {
    const host = new MockHost();
    call(host, hsm, 3, 0, 0, 0);
    call(host, hsm, 3, 0x8000_0000, RAM_BASE, 9);
    // A uint32_t parameter may come sign-extended.
    call(host, hsm, 3, 0xffff_ffff_8000_0000n, RAM_BASE, 9);
    const entered = ['hartSuspend', { startGpa: RAM_BASE, opaque: 9n }];
    expect(host.log).toEqual([['hartSuspend', null], entered, entered]);
  });
  it('refuses other ways to suspend, and places that are no RAM', () => {
    expect(call(new MockHost(), hsm, 3, 1, RAM_BASE)).toEqual(answers(sbiError.invalidParam));
    expect(call(new MockHost(), hsm, 3, 0x9000_0000, RAM_BASE)).toEqual(answers(sbiError.invalidParam));
    expect(call(new MockHost(), hsm, 3, 0x8000_0000, 0)).toEqual(answers(sbiError.invalidAddress));
  });
});

describe('system reset', () => {
  it.each([
    [0, 0, { type: 'shutdown', reason: 'none' }],
    [1, 0, { type: 'cold-reboot', reason: 'none' }],
    [2, 1, { type: 'warm-reboot', reason: 'system-failure' }],
  ])('type %d, reason %d', (type, reason, request) => {
    const host = new MockHost();
    host.answer = 'pending';
    expect(call(host, srst, 0, type, reason).status).toBe('pending');
    expect(host.log).toEqual([['systemReset', request]]);
  });
  it.each([
    [3, 0],
    [0, 2],
    [0xf000_0000, 0],
    [0, 0xe000_0000],
  ])('refuses type %d, reason %d', (type, reason) => {
    expect(call(new MockHost(), srst, 0, type, reason)).toEqual(answers(sbiError.invalidParam));
  });
});

describe('debug console', () => {
  it('writes what the console takes', () => {
    const host = new MockHost();
    host.ram.set([72, 105, 33]);
    host.consoleRoom = 2;
    expect(call(host, dbcn, 0, 3, RAM_BASE, 0)).toEqual(success(2n));
    expect(host.written).toEqual([72, 105]);
    expect(call(host, dbcn, 0, 1, RAM_BASE, 0)).toEqual(success(0n));
  });
  it('reads what is there', () => {
    const host = new MockHost();
    host.input = [1, 2, 3];
    expect(call(host, dbcn, 1, 2, RAM_BASE, 0)).toEqual(success(2n));
    expect(call(host, dbcn, 1, 8, RAM_BASE + 2, 0)).toEqual(success(1n));
    expect(call(host, dbcn, 1, 8, RAM_BASE, 0)).toEqual(success(0n));
    expect([...host.ram.subarray(0, 4)]).toEqual([1, 2, 3, 0]);
  });
  it('writes a byte, or waits for room', () => {
    const host = new MockHost();
    expect(call(host, dbcn, 2, 0x141)).toEqual(success());
    expect(host.written).toEqual([0x41]);
    host.consoleRoom = 0;
    expect(call(host, dbcn, 2, 65)).toMatchObject({ status: 'retry', error: 65 });
  });
  it('moves at most a chunk', () => {
    expect(call(new MockHost(), dbcn, 0, 2 ** 20, RAM_BASE, 0)).toEqual(success(4096n));
  });
  it.each([0, 1])('refuses memory that is not RAM (function %d), and reads nothing for it', (fid) => {
    const host = new MockHost();
    host.input = [1];
    const refused = answers(sbiError.invalidParam);
    expect(call(host, dbcn, fid, 1, 0, 0)).toEqual(refused);
    expect(call(host, dbcn, fid, 1, RAM_BASE, 1)).toEqual(refused);
    expect(call(host, dbcn, fid, ALL, RAM_BASE, 0)).toEqual(refused);
    expect(call(host, dbcn, fid, 2 ** 21 + 1, RAM_BASE, 0)).toEqual(refused);
    expect(host.input).toEqual([1]);
  });
  it('says when the console has failed', () => {
    const host = new MockHost();
    host.consoleRoom = -1;
    host.input = null;
    expect(call(host, dbcn, 0, 1, RAM_BASE, 0)).toEqual(answers(sbiError.failed));
    expect(call(host, dbcn, 1, 1, RAM_BASE, 0)).toEqual(answers(sbiError.failed));
    expect(call(host, dbcn, 2, 65)).toEqual(answers(sbiError.failed));
  });
});

describe('legacy', () => {
  /** a1 must stay as it was. */
  const legacy = (host: MockHost, eid: number, ...args: (number | bigint)[]) => {
    host.x[11] = 0x11n;
    const { error, value } = call(host, eid, 99, ...args);
    expect(value).toBe(BigInt(args[1] ?? 0x11));
    return error;
  };
  it('sets the timer', () => {
    const host = new MockHost();
    expect(legacy(host, 0, 5)).toBe(0);
    expect(host.log).toEqual([['setTimer', 5n]]);
  });
  it('prints and reads characters', () => {
    const host = new MockHost();
    host.input = [0, 200];
    expect(legacy(host, 1, 65)).toBe(0);
    expect(host.written).toEqual([65]);
    expect([legacy(host, 2), legacy(host, 2), legacy(host, 2)]).toEqual([0, 200, -1]);
    host.consoleRoom = -1;
    expect(legacy(host, 1, 65)).toBe(sbiError.failed);
    host.consoleRoom = 0;
    expect(call(host, 1, 0, 65).status).toBe('retry');
  });
  it('clears its own IPI', () => {
    const host = new MockHost();
    host.ipiPending = true;
    expect([legacy(host, 3), legacy(host, 3)]).toEqual([1, 0]);
  });
  it('sends IPIs to a mask in memory, or to all', () => {
    const host = new MockHost();
    host.virtual.set(0x4000n, 0b10n);
    expect(legacy(host, 4, 0x4000)).toBe(0);
    expect(legacy(host, 4, 0)).toBe(0);
    expect(host.log.map(([, hart]) => hart)).toEqual([1, 0, 1, 5]);
    expect(legacy(host, 4, 0x5000)).toBe(sbiError.failed);
  });
  it('fences', () => {
    const host = new MockHost();
    expect(legacy(host, 5, 0)).toBe(0);
    expect(legacy(host, 6, 0, 0x1000, 0x1000)).toBe(0);
    expect(legacy(host, 7, 0, 0x1000, 0x1000, 3)).toBe(0);
    expect(host.log.map(([, fence]) => fence)).toMatchObject([
      { kind: 'instruction' },
      { kind: 'address', start: 0x1000n, lengthBytes: 0x1000n },
      { kind: 'address-asid', asid: 3 },
    ]);
    expect(legacy(host, 5, 0x5000)).toBe(sbiError.failed);
  });
  it('shuts down', () => {
    const host = new MockHost();
    host.answer = 'pending';
    expect(call(host, 8, 0).status).toBe('pending');
    expect(host.log).toEqual([['systemReset', { type: 'shutdown', reason: 'none' }]]);
  });
});
