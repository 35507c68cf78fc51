/**
 * Litmus tests: each hart of a test executes its few instructions on the variables of one slot after the other, after a
 * random delay; two harts wait for each other before each slot; every few slots all harts meet at a barrier, and hart 0 counts what came out and clears the slots.
 */
import { barrier, begin, finish, type HartPool, SHARED } from './pool.ts';

/** One run: what each observed register and each final variable was, 0 to 3. */
export type Outcome = Readonly<Record<string, number>>;

export interface LitmusHart {
  /**
   * Its instructions. In registers: a6, a7, s10 the addresses of x, y, z (each alone in its cache line); s8 1, s9 2. Its
   * own: a0 to a5, t0 to t6.
   */
  readonly code: string;
  /** Registers whose values belong to the outcome, `0:a0` for hart 0's. */
  readonly observes?: readonly string[];
}

export interface Litmus {
  readonly name: string;
  readonly harts: readonly LitmusHart[];
  /** Variables whose values at the end belong to the outcome. */
  readonly finals?: readonly ('x' | 'y' | 'z')[];
  /** What RVWMO forbids; must not come out. */
  readonly forbidden?: (outcome: Outcome) => boolean;
  /** What sequential consistency forbids and RVWMO allows; counted. */
  readonly relaxed?: (outcome: Outcome) => boolean;
}

export interface LitmusResult {
  readonly iterations: number;
  readonly forbidden: number;
  readonly relaxed: number;
  /** Outcome as text -> how often. */
  readonly histogram: ReadonlyMap<string, number>;
}

const HISTOGRAM = SHARED;
const SLOTS = SHARED + 0x2_0000;
/** A word for each of two harts, in cache lines of their own: the slot it has come to. */
const MEETING = SHARED + 0x1_0000;
const SLOT_BYTES = 512;
const VARIABLES = { x: 0, y: 128, z: 256 } as const;
/** Doublewords that tests write: x also next to it, and across the end of its cache line. */
const CLEARED = [VARIABLES.x, VARIABLES.x + 8, VARIABLES.x + 56, VARIABLES.x + 64, VARIABLES.y, VARIABLES.z];
const RESULTS = 384;
/** Each value is two bits of the outcome's number. */
const VALUE_BITS = 2;
/** Between barriers. Where harts outnumber the host's free cores a barrier sleeps, so there are not too many of them. */
const SLOTS_AT_ONCE = 128;

export async function runLitmus(pool: HartPool, litmus: Litmus, iterations: number): Promise<LitmusResult> {
  const slots = SLOTS_AT_ONCE;
  const batches = Math.ceil(iterations / slots);
  await pool.run(programOf(litmus, batches, slots), litmus.harts.length);
  const names = namesOf(litmus);
  const histogram = new Map<string, number>();
  const counts = { iterations: 0, forbidden: 0, relaxed: 0 };
  for (let code = 0; code < 1 << (VALUE_BITS * names.length); code++) {
    const count = Number(pool.read(HISTOGRAM + code * 8));
    if (count === 0) continue;
    const outcome = Object.fromEntries(
      names.map((name, i) => [name, (code >> (VALUE_BITS * (names.length - 1 - i))) & 3]),
    );
    histogram.set(names.map((name) => `${name}=${outcome[name]}`).join(' '), count);
    counts.iterations += count;
    if (litmus.forbidden?.(outcome) === true) counts.forbidden += count;
    if (litmus.relaxed?.(outcome) === true) counts.relaxed += count;
  }
  return { ...counts, histogram };
}

function namesOf({ harts, finals = [] }: Litmus): string[] {
  return [...harts.flatMap(({ observes = [] }, i) => observes.map((register) => `${i}:${register}`)), ...finals];
}

function programOf(litmus: Litmus, batches: number, slots: number): string {
  let recorded = 0;
  return litmus.harts
    .map(({ code, observes = [] }, hart) => {
      const records = observes.map((register) => `sb ${register}, ${RESULTS + recorded++}(s5)`);
      return hartProgram(litmus, hart, { code: `${code}\n${records.join('\n')}`, batches, slots });
    })
    .join('\n');
}

function hartProgram(
  litmus: Litmus,
  hart: number,
  { code, batches, slots }: { code: string; batches: number; slots: number },
): string {
  const harts = litmus.harts.length;
  return `
    ${begin(hart)}
    li s2, ${batches}
    li s11, 0
    li s3, ${0x9e37_79b9 * (hart + 1)}
    li s7, 0x5851f42d4c957f2d
    li s8, 1
    li s9, 2
  batch${hart}:
    ${barrier(`before${hart}`, harts)}
    li s5, ${SLOTS}
    li s6, ${slots}
  slot${hart}:
    addi a6, s5, ${VARIABLES.x}
    addi a7, s5, ${VARIABLES.y}
    addi s10, s5, ${VARIABLES.z}
    ${harts === 2 ? meet(hart) : ''}
    mul s3, s3, s7
    addi s3, s3, 0x123
    srli t0, s3, 61
  delay${hart}: beqz t0, go${hart}
    addi t0, t0, -1
    j delay${hart}
  go${hart}:
    ${code}
    addi s5, s5, ${SLOT_BYTES}
    addi s6, s6, -1
    bnez s6, slot${hart}
    ${barrier(`after${hart}`, harts)}
    ${hart === 0 ? collect(litmus, slots) : ''}
    addi s2, s2, -1
    bnez s2, batch${hart}
    ${finish(`end${hart}`)}
  `;
}

/** Lets two harts begin a slot at about the same time; goes on alone if the other does not come soon. s11 counts slots. */
function meet(hart: number): string {
  return `
    li t0, ${MEETING}
    addi s11, s11, 1
    sw s11, ${64 * hart}(t0)
    li t1, 100
  meet${hart}: lw t2, ${64 * (1 - hart)}(t0)
    bge t2, s11, met${hart}
    addi t1, t1, -1
    bnez t1, meet${hart}
  met${hart}:
  `;
}

/** Counts the outcome of every slot and clears it. */
function collect(litmus: Litmus, slots: number): string {
  const finals = litmus.finals ?? [];
  const recorded = namesOf(litmus).length - finals.length;
  const reads = [
    ...Array.from({ length: recorded }, (_, i) => `lbu t2, ${RESULTS + i}(t0)`),
    ...finals.map((name) => `lw t2, ${VARIABLES[name]}(t0)`),
  ];
  return `
    li t0, ${SLOTS}
    li t1, ${slots}
    li t4, ${HISTOGRAM}
  collect:
    li a0, 0
    ${reads.map((read) => `${read}\n andi t2, t2, 3\n slli a0, a0, ${VALUE_BITS}\n or a0, a0, t2`).join('\n')}
    slli a0, a0, 3
    add a0, a0, t4
    ld t2, 0(a0)
    addi t2, t2, 1
    sd t2, 0(a0)
    ${CLEARED.map((offset) => `sd zero, ${offset}(t0)`).join('\n')}
    sd zero, ${RESULTS}(t0)
    addi t0, t0, ${SLOT_BYTES}
    addi t1, t1, -1
    bnez t1, collect
  `;
}
