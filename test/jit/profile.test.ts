/** What the runtime takes in of traces: src/hart/assembly/profile.ts, on traces that nobody has executed. */
import { describe, expect, it } from 'vitest';
import { SPECIAL } from '../../src/hart/handlers.ts';
import type { TranslatorPlace } from '../../src/hart/hart.ts';
import { LEFT, PROFILE, TRACE } from '../../src/hart/profile-layout.ts';
import { ARENA, DECODED_PAGE, HART_OFFSETS, OP } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { decode } from '../../src/isa/decode.ts';
import { GuestCode } from '../../src/jit/guest-code.ts';
import { flowOf, linkOf } from '../../src/jit/instructions.ts';
import { type Arrived, Profile, type ProfileOptions } from '../../src/jit/profile.ts';
import { InterpreterMachine } from '../support/program-interpreter.ts';

const BASE = 0x8000_0000;
const OPS_PER_BYTE = DECODED_PAGE.opBytes / 2;
const OPTIONS: ProfileOptions = { threshold: 1, loopWeight: 3, leftWeight: 5, everything: false };

interface Seen {
  readonly arrived: readonly Omit<Arrived, 'op'>[];
}

/** A hart that stands in a page of nops, and traces of it: instructions by their offsets there. */
function profiled(options: Partial<ProfileOptions> = {}) {
  let place: TranslatorPlace | null = null;
  const machine = new InterpreterMachine('none', (given) => {
    place = given;
    return { traceInterval: 2 ** 30, modules: 0, report: () => '', trace: () => {}, codeChanged: () => {} };
  });
  machine.load({ image: assemble('nop; nop; ecall', { base: BASE }).bytes, base: BigInt(BASE) });
  machine.step(2);
  const given: TranslatorPlace = place ?? expect.fail('no translator was made');
  const { memory, arena, runtime } = given;
  const view = new DataView(memory.buffer);
  const page = new GuestCode(memory, arena).pageOfAddress(BASE, 0);
  const profile = new Profile(given, { ...OPTIONS, ...options });
  const seeTrace = runtime['seeTrace'] as (length: number, left: number, atRegion: number) => number;
  const opAt = (offset: number): number => page + offset * OPS_PER_BYTE;
  /** @param from what the offsets are from */
  const trace = (offsets: readonly number[], { left = LEFT.not as number, region = false, from = BASE } = {}): Seen => {
    offsets.forEach((offset, i) => {
      const at = arena + ARENA.trace + i * TRACE.entryBytes;
      view.setUint32(at, from + offset, true);
      view.setUint32(at + 4, opAt(offset), true);
    });
    const told = seeTrace(region ? offsets.length - 1 : offsets.length, left, region ? 1 : 0);
    const arrived = Array.from({ length: told }, (_, i) => profile.arrived(i));
    for (const { op, lo } of arrived) expect(op).toBe(opAt(lo - from));
    return { arrived: arrived.map(({ lo, arrivals }) => ({ lo: lo - from, arrivals })) };
  };
  return {
    ...{ place: given, profile, page, opAt, trace, view },
    write: (offset: number, word: number) => view.setUint32(page + DECODED_PAGE.source + offset, word, true),
  };
}

const times = (n: number, run: () => Seen): Seen => Array.from({ length: n }, run).at(-1) ?? expect.fail('never');

describe('jumps', () => {
  /** As the instruction table says. */
  function kindOf(word: number): 'computed' | 'call' | 'other' {
    const decoded = decode(word);
    const flow = decoded === null ? 'next' : flowOf(decoded).kind;
    if (flow === 'indirect') return 'computed';
    return decoded !== null && flow === 'jump' && linkOf(decoded) !== 0 ? 'call' : 'other';
  }

  it('are computed, calls or others, as instructions say', () => {
    const { place, profile, opAt, trace, write } = profiled();
    const [from, to] = [8, 2400];
    const set = new Uint8Array(
      place.memory.buffer,
      place.profile.jumpTargets(opAt(from)),
      PROFILE.jumpWays * PROFILE.targetBytes,
    );
    const registers = [0, 1, 5, 10, 31];
    const long = [0x67, 0x6f, 0x63, 0x73, 0x13, 0x0f].flatMap((opcode) =>
      Array.from({ length: 8 }, (_, funct3) => registers.map((rd) => opcode | (rd << 7) | (funct3 << 12) | (1 << 20))),
    );
    const compressed = Array.from({ length: 65_536 }, (_, word) => word).filter((word) => (word & 3) !== 3);
    const counts = { computed: 0, call: 0, other: 0 };
    for (const word of [...long.flat(), ...compressed]) {
      write(from, word);
      set.fill(0);
      const { arrived } = trace([from, to]);
      const targets = profile.targets(opAt(from));
      const kind = targets.length > 0 ? 'computed' : arrived.length > 0 ? 'call' : 'other';
      if (kind !== kindOf(word)) expect(kind, word.toString(16)).toBe(kindOf(word));
      if (targets.length > 0) expect(targets).toEqual([to - from]);
      counts[kind] += 1;
    }
    expect(counts.computed).toBeGreaterThan(50);
    expect(counts.call).toBeGreaterThan(10);
    expect(counts.other).toBeGreaterThan(10_000);
  });

  it('that go over to the next page count as any other', () => {
    const { trace, write } = profiled();
    write(4094, 0x00ef);
    expect(trace([4094, 2400]).arrived).toEqual([{ lo: 2400, arrivals: 3 }]);
    expect(trace([0, 4, 2400]).arrived).toEqual([]);
  });

  it('have as many targets as fit, the most frequent first', () => {
    const { profile, opAt, trace, write } = profiled();
    for (const at of [0, 16]) write(at, 0x0004_0067);
    for (let target = 0; target < PROFILE.jumpWays + 4; target++) {
      for (let i = 0; i <= target; i++) trace([0, 100 + 4 * target]);
    }
    const targets = profile.targets(opAt(0));
    expect(targets).toHaveLength(PROFILE.jumpWays);
    expect(targets.slice(0, 3)).toEqual([19, 18, 17].map((target) => 100 + 4 * target));
    // Another one's, which may lie in the same set.
    trace([16, 400]);
    expect(profile.targets(opAt(16))).toEqual([384]);
  });
});

describe('arrivals', () => {
  it('count by where they are at', () => {
    const { trace } = profiled();
    expect(trace([80, 40]).arrived).toEqual([{ lo: 40, arrivals: OPTIONS.loopWeight }]);
    expect(trace([40, 80]).arrived).toEqual([]);
    expect(trace([200, 204], { left: LEFT.behind }).arrived).toEqual([{ lo: 200, arrivals: OPTIONS.leftWeight }]);
    expect(trace([300, 304], { left: LEFT.aside }).arrived).toEqual([{ lo: 300, arrivals: OPTIONS.leftWeight }]);
    // Between two regions.
    expect(trace([400, 404, 408], { left: LEFT.aside, region: true }).arrived).toEqual([]);
  });

  it('at a function, in the same page or another, count once', () => {
    const { trace, write } = profiled();
    write(0, 0x00ef);
    expect(trace([0, 600]).arrived).toEqual([{ lo: 600, arrivals: 1 }]);
    expect(times(4, () => trace([0, 600])).arrived).toEqual([{ lo: 600, arrivals: 5 }]);
  });

  it('in long straight code are where a piece of it begins, or where the trace does', () => {
    const { trace } = profiled();
    const straight = (from: number): number[] => Array.from({ length: TRACE.length }, (_, i) => from + 2 * i);
    expect(trace(straight(1024)).arrived).toEqual([{ lo: 1024, arrivals: OPTIONS.leftWeight }]);
    expect(trace(straight(900)).arrived).toEqual([{ lo: 1024, arrivals: 2 * OPTIONS.leftWeight }]);
    expect(trace(straight(2048).slice(1)).arrived).toEqual([]);
  });

  it('are told of from the threshold on, until they are forgotten', () => {
    const { profile, opAt, trace } = profiled({ threshold: 9 });
    const back = (): Seen => trace([80, 40]);
    expect(times(2, back).arrived).toEqual([]);
    expect(back().arrived).toEqual([{ lo: 40, arrivals: 9 }]);
    expect(back().arrived).toEqual([{ lo: 40, arrivals: 12 }]);
    profile.forget(opAt(40));
    expect(times(2, back).arrived).toEqual([]);
    expect(times(30_000, back).arrived).toEqual([{ lo: 40, arrivals: 0xffff }]);
  });

  /** A hart that meets new code now and then: its host counts what it decodes. */
  const meetsCode = ({ place, view }: ReturnType<typeof profiled>, times: number): void => {
    const at = place.arena + HART_OFFSETS.decodes;
    view.setUint32(at, view.getUint32(at, true) + times, true);
  };

  it('count twice as much behind the first 5000 traces', () => {
    const rig = profiled();
    const { profile, trace } = rig;
    for (let i = 0; i < 4999; i++) {
      if (i % 32 === 0) meetsCode(rig, 4);
      profile.traced();
    }
    expect(trace([80, 40]).arrived).toEqual([{ lo: 40, arrivals: 3 }]);
    profile.traced();
    expect(trace([80, 40]).arrived).toEqual([{ lo: 40, arrivals: 9 }]);
    profile.traced();
    expect(trace([80, 40]).arrived).toEqual([{ lo: 40, arrivals: 15 }]);
  });

  it('count eight times as much where no new code was met for 256 traces, until some is', () => {
    const rig = profiled();
    const { profile, view, place } = rig;
    view.setUint32(place.arena + HART_OFFSETS.decodes, 0xffff_fffe, true);
    const weight = (): number => view.getUint32(place.arena + ARENA.profile + PROFILE.otherWeight, true);
    const traced = (count: number, newCode = 0): number => {
      for (let i = 0; i < count; i++) {
        if (i % 32 === 0) meetsCode(rig, newCode);
        profile.traced();
      }
      return weight();
    };
    // Also where the count wraps.
    expect(traced(64, 4)).toBe(1);
    expect(traced(255, 3)).toBe(1);
    expect(traced(1)).toBe(8);
    expect(traced(64, 3)).toBe(8);
    expect(traced(32, 4)).toBe(1);
    expect(traced(288)).toBe(8);
    expect(traced(5000)).toBe(16);
  });

  it('at regions are not told of', () => {
    const { opAt, trace, view } = profiled();
    view.setUint16(opAt(40) + OP.handler, SPECIAL.region, true);
    expect(trace([80, 40]).arrived).toEqual([]);
    expect(trace([80, 40], { region: true }).arrived).toEqual([]);
  });

  it('at what is on offer are all told of', () => {
    const { place, opAt, page, trace, view } = profiled({ threshold: 1000 });
    expect(trace([80, 40]).arrived).toEqual([]);
    place.profile.offer(view.getUint32(page + DECODED_PAGE.host, true) + 40);
    expect(trace([80, 40]).arrived).toEqual([{ lo: 40, arrivals: 6 }]);
    expect(trace([80, 42]).arrived).toEqual([]);
    expect(opAt(40)).toBeGreaterThan(page);
  });

  it('are everywhere where everything is translated', () => {
    const { trace } = profiled({ everything: true });
    expect(trace([40, 80, 120]).arrived.map(({ lo }) => lo)).toEqual([40, 80, 120]);
  });
});

describe('a trace', () => {
  it('shows how often each of its instructions was executed', () => {
    const { profile, opAt, trace } = profiled();
    const heat = (): number[] => [0, 4, 40].map((at) => profile.heat(opAt(at)));
    times(3, () => trace([0, 4]));
    trace([4, 40]);
    expect(heat()).toEqual([3, 4, 1]);
    expect(times(70_000, () => trace([4]))).toEqual({ arrived: [] });
    expect(heat()).toEqual([3, 0xffff, 1]);
  });

  it('shows where the jump went that leads into a region', () => {
    const { profile, opAt, trace, write } = profiled();
    write(0, 0x0004_0067);
    expect(trace([0, 600], { region: true }).arrived).toEqual([{ lo: 600, arrivals: 1 }]);
    expect(profile.targets(opAt(0))).toEqual([600]);
    expect(profile.heat(opAt(600))).toBe(0);
  });

  it('ends for the profile where an op is of no decoded page', () => {
    const { place, page, trace, view, profile, opAt } = profiled();
    const outside = [0, page - 8, page + DECODED_PAGE.endOp, place.arena + ARENA.guardedPage, 0xffff_fff8];
    for (const op of outside) {
      const at = place.arena + ARENA.trace;
      // Back, so that one there would be told of.
      trace([4, 0]);
      view.setUint32(at + TRACE.entryBytes + 4, op, true);
      const before = profile.heat(opAt(4));
      const seeTrace = place.runtime['seeTrace'] as (length: number, left: number, atRegion: number) => number;
      expect(seeTrace(2, LEFT.not, 0)).toBe(0);
      expect(profile.heat(opAt(4))).toBe(before + 1);
    }
  });
});
