/**
 * The litmus tests (unprivileged specification, chapters 14.1 RVWMO and A.2; names as in the literature). A name ends
 * with what orders the accesses of the harts, `po` where nothing does.
 */
import type { Litmus, LitmusHart, Outcome } from './litmus.ts';

const hart = (code: string, ...observes: string[]): LitmusHart => ({ code, observes });
const is = (expected: Outcome) => (outcome: Outcome) =>
  Object.entries(expected).every(([name, value]) => outcome[name] === value);
const any =
  (...tests: ((outcome: Outcome) => boolean)[]) =>
  (outcome: Outcome) =>
    tests.some((test) => test(outcome));

const STORE_X = 'sw s8, 0(a6)';
const STORE_Y = 'sw s8, 0(a7)';
const STORE_X_2 = 'sw s9, 0(a6)';
const STORE_Y_2 = 'sw s9, 0(a7)';
/** After a load into a0: a load of x into a1, or a store of 1, that depends on it. */
const LOAD_X_BY_ADDRESS = 'xor t0, a0, a0\n add t0, t0, a6\n lw a1, 0(t0)';
const storeByData = (address: string): string => `xor t0, a0, a0\n addi t0, t0, 1\n sw t0, 0(${address})`;
const storeByControl = (address: string, label: string): string =>
  `beqz a0, ${label}\n nop\n ${label}: sw s8, 0(${address})`;

const stale = is({ '1:a0': 1, '1:a1': 0 });
const mp = (name: string, writer: string, reader: string, allowed = false): Litmus => ({
  name: `MP+${name}`,
  harts: [hart(writer), hart(reader, 'a0', 'a1')],
  ...(allowed ? { relaxed: stale } : { forbidden: stale }),
});

const bothEarly = is({ '0:a0': 0, '1:a0': 0 });
const sb = (name: string, first: string, second: string, allowed = false): Litmus => ({
  name: `SB+${name}`,
  harts: [hart(first, 'a0'), hart(second, 'a0')],
  ...(allowed ? { relaxed: bothEarly } : { forbidden: bothEarly }),
});
const sbOf = (name: string, between: string, allowed = false): Litmus =>
  sb(name, `${STORE_X}\n${between}\n lw a0, 0(a7)`, `${STORE_Y}\n${between}\n lw a0, 0(a6)`, allowed);

const fromThinAir = is({ '0:a0': 1, '1:a0': 1 });
const lb = (name: string, first: string, second: string, allowed = false): Litmus => ({
  name: `LB+${name}`,
  harts: [hart(`lw a0, 0(a6)\n ${first}`, 'a0'), hart(`lw a0, 0(a7)\n ${second}`, 'a0')],
  ...(allowed ? { relaxed: fromThinAir } : { forbidden: fromThinAir }),
});

const disagree = is({ '2:a0': 1, '2:a1': 0, '3:a0': 1, '3:a1': 0 });
const iriw = (name: string, first: string, second: string, allowed = false): Litmus => ({
  name: `IRIW+${name}`,
  harts: [hart(STORE_X), hart(STORE_Y), hart(first, 'a0', 'a1'), hart(second, 'a0', 'a1')],
  ...(allowed ? { relaxed: disagree } : { forbidden: disagree }),
});

const twoWrites = is({ x: 1, y: 1 });
const w22 = (name: string, between: string, allowed = false): Litmus => ({
  name: `2+2W+${name}`,
  harts: [hart(`${STORE_X}\n${between}\n${STORE_Y_2}`), hart(`${STORE_Y}\n${between}\n${STORE_X_2}`)],
  finals: ['x', 'y'],
  ...(allowed ? { relaxed: twoWrites } : { forbidden: twoWrites }),
});

const overwritten = is({ '1:a0': 1, x: 2 });
const s = (name: string, between: string, store: string, allowed = false): Litmus => ({
  name: `S+${name}`,
  harts: [hart(`${STORE_X_2}\n${between}\n${STORE_Y}`), hart(`lw a0, 0(a7)\n ${store}`, 'a0')],
  finals: ['x'],
  ...(allowed ? { relaxed: overwritten } : { forbidden: overwritten }),
});

const lateRead = is({ '1:a0': 0, y: 2 });
const r = (name: string, between: string, allowed = false): Litmus => ({
  name: `R+${name}`,
  harts: [hart(`${STORE_X}\n${between}\n${STORE_Y}`), hart(`${STORE_Y_2}\n${between}\n lw a0, 0(a6)`, 'a0')],
  finals: ['y'],
  ...(allowed ? { relaxed: lateRead } : { forbidden: lateRead }),
});

/** Of a doubleword that was 0 and becomes all ones: 0, 1, or 2 for anything else. */
const CLASSIFY = `
  snez a0, t0
  addi t1, t0, 1
  snez t1, t1
  and t1, t1, a0
  add a0, a0, t1
`;
const torn = is({ '1:a0': 2 });
const whole = (name: string, offset: number, aligned: boolean): Litmus => ({
  name,
  harts: [hart(`li t0, -1\n sd t0, ${offset}(a6)`), hart(`ld t0, ${offset}(a6)\n ${CLASSIFY}`, 'a0')],
  ...(aligned ? { forbidden: torn } : { relaxed: torn }),
});

const TWO_READS = 'lw a0, 0(a7)\n lw a1, 0(a6)';
const HALVES = 'ld t0, 0(a6)\n srli a0, t0, 32\n andi a1, t0, 3';

const COHERENCE: readonly Litmus[] = [
  { name: 'CoRR', harts: [hart(STORE_X), hart('lw a0, 0(a6)\n lw a1, 0(a6)', 'a0', 'a1')], forbidden: stale },
  {
    name: 'CoRR2',
    harts: [
      hart(STORE_X),
      hart(STORE_X_2),
      hart('lw a0, 0(a6)\n lw a1, 0(a6)', 'a0', 'a1'),
      hart('lw a0, 0(a6)\n lw a1, 0(a6)', 'a0', 'a1'),
    ],
    forbidden: any(
      is({ '2:a0': 1, '2:a1': 2, '3:a0': 2, '3:a1': 1 }),
      is({ '2:a0': 2, '2:a1': 1, '3:a0': 1, '3:a1': 2 }),
      (o) => o['2:a0'] !== 0 && o['2:a1'] === 0,
      (o) => o['3:a0'] !== 0 && o['3:a1'] === 0,
    ),
  },
  {
    name: 'CoWW',
    harts: [hart(`${STORE_X}\n ${STORE_X_2}`), hart('lw a0, 0(a6)\n lw a1, 0(a6)', 'a0', 'a1')],
    finals: ['x'],
    forbidden: any(
      (o) => o['x'] !== 2,
      (o) => (o['1:a0'] ?? 0) > (o['1:a1'] ?? 0),
    ),
  },
  {
    name: 'CoWR',
    harts: [hart(`${STORE_X}\n lw a0, 0(a6)`, 'a0'), hart(STORE_X_2)],
    finals: ['x'],
    forbidden: any(is({ '0:a0': 0 }), is({ '0:a0': 2, x: 1 })),
  },
  {
    name: 'CoRW',
    harts: [hart(`lw a0, 0(a6)\n ${STORE_X}`, 'a0'), hart(STORE_X_2)],
    finals: ['x'],
    forbidden: any(is({ '0:a0': 1 }), is({ '0:a0': 2, x: 2 })),
  },
];

const ORDER: readonly Litmus[] = [
  mp('po', `${STORE_X}\n ${STORE_Y}`, TWO_READS, true),
  mp('fences', `${STORE_X}\n fence w, w\n ${STORE_Y}`, 'lw a0, 0(a7)\n fence r, r\n lw a1, 0(a6)'),
  mp('fence.tso', `${STORE_X}\n fence.tso\n ${STORE_Y}`, 'lw a0, 0(a7)\n fence.tso\n lw a1, 0(a6)'),
  mp('fence+addr', `${STORE_X}\n fence w, w\n ${STORE_Y}`, `lw a0, 0(a7)\n ${LOAD_X_BY_ADDRESS}`),
  mp('amo.rl+amo.aq', `${STORE_X}\n amoswap.w.rl zero, s8, (a7)`, 'amoadd.w.aq a0, zero, (a7)\n lw a1, 0(a6)'),
  mp('fence+lr.aq', `${STORE_X}\n fence rw, w\n ${STORE_Y}`, 'lr.w.aq a0, (a7)\n lw a1, 0(a6)'),
  sbOf('po', '', true),
  sbOf('fences', 'fence rw, rw'),
  sbOf('fence w, r', 'fence w, r'),
  sbOf('fence ow, ir', 'fence ow, ir'),
  sbOf('fence iorw, iorw', 'fence iorw, iorw'),
  sbOf('fence rw, w', 'fence rw, w', true),
  sbOf('fence r, rw', 'fence r, rw', true),
  sbOf('fence.tso', 'fence.tso', true),
  sb('lr.aq', `${STORE_X}\n lr.w.aq a0, (a7)`, `${STORE_Y}\n lr.w.aq a0, (a6)`, true),
  sb('lr.aqrl', `${STORE_X}\n lr.w.aqrl a0, (a7)`, `${STORE_Y}\n lr.w.aqrl a0, (a6)`),
  sb('amo.aq', 'amoswap.w.aq zero, s8, (a6)\n lw a0, 0(a7)', 'amoswap.w.aq zero, s8, (a7)\n lw a0, 0(a6)'),
  sb('amomaxu.aq', 'amomaxu.w.aq zero, s8, (a6)\n lw a0, 0(a7)', 'amomaxu.w.aq zero, s8, (a7)\n lw a0, 0(a6)'),
  sb(
    'sc.aqrl',
    'sc0: lr.w t0, (a6)\n sc.w.aqrl t0, s8, (a6)\n bnez t0, sc0\n lw a0, 0(a7)',
    'sc1: lr.w t0, (a7)\n sc.w.aqrl t0, s8, (a7)\n bnez t0, sc1\n lw a0, 0(a6)',
  ),
  lb('po', STORE_Y, STORE_X, true),
  lb('datas', storeByData('a7'), storeByData('a6')),
  lb('ctrls', storeByControl('a7', 'lb0'), storeByControl('a6', 'lb1')),
  lb('fences', `fence rw, w\n ${STORE_Y}`, `fence rw, w\n ${STORE_X}`),
  s('po', '', STORE_X, true),
  s('fence+data', 'fence w, w', storeByData('a6')),
  s('fence+ctrl', 'fence w, w', storeByControl('a6', 's1')),
  r('po', '', true),
  r('fences', 'fence rw, rw'),
  w22('po', '', true),
  w22('fences', 'fence w, w'),
  {
    name: 'WRC+data+addr',
    harts: [
      hart(STORE_X),
      hart(`lw a0, 0(a6)\n ${storeByData('a7')}`, 'a0'),
      hart(`lw a0, 0(a7)\n ${LOAD_X_BY_ADDRESS}`, 'a0', 'a1'),
    ],
    forbidden: is({ '1:a0': 1, '2:a0': 1, '2:a1': 0 }),
  },
  iriw('po', 'lw a0, 0(a6)\n lw a1, 0(a7)', TWO_READS, true),
  iriw('fences', 'lw a0, 0(a6)\n fence r, r\n lw a1, 0(a7)', 'lw a0, 0(a7)\n fence r, r\n lw a1, 0(a6)'),
  iriw('addrs', 'lw a0, 0(a6)\n xor t0, a0, a0\n add t0, t0, a7\n lw a1, 0(t0)', `lw a0, 0(a7)\n ${LOAD_X_BY_ADDRESS}`),
];

/** Aligned accesses are whole, whatever their size; of misaligned ones nothing is claimed but their bytes. */
const SIZES: readonly Litmus[] = [
  whole('whole doubleword', 0, true),
  whole('misaligned doubleword in a cache line', 4, false),
  whole('misaligned doubleword over two cache lines', 60, false),
  {
    name: 'words, then doubleword',
    harts: [hart('sw s8, 0(a6)\n fence w, w\n sw s8, 4(a6)'), hart(HALVES, 'a0', 'a1')],
    forbidden: stale,
  },
  {
    name: 'doubleword, then words',
    harts: [
      hart('slli t0, s8, 32\n add t0, t0, s8\n sd t0, 0(a6)'),
      hart('lw a0, 4(a6)\n fence r, r\n lw a1, 0(a6)', 'a0', 'a1'),
    ],
    forbidden: stale,
  },
];

export const CASES: readonly Litmus[] = [...COHERENCE, ...ORDER, ...SIZES];
