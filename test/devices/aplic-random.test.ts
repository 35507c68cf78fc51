/** Any sequence of register accesses and wire changes: what the registers promise of each other, and saved state. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AplicConfig, aplicRegisters as R } from '../../actors/irq/aplic.ts';
import { type Domain, FILES, HARTS, IE, idc, pair, SOURCES, sourcecfg, target } from './aplic-rig.ts';

type Step =
  | { readonly kind: 'wire'; readonly source: number; readonly level: boolean }
  | { readonly kind: 'read' | 'write'; readonly to: 'root' | 'child'; readonly offset: number; readonly value: number };

/** Few enough sources that steps meet. */
const SOME_SOURCES = [1, 2, 31, 32, 96];

const source = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(...SOME_SOURCES) },
  { weight: 1, arbitrary: fc.integer({ min: -1, max: 2 ** 32 - 1 }) },
);
const words = [R.setip, R.in_clrip, R.setie, R.clrie].flatMap((row) => [0, 1, 3, 4].map((n) => row.offset + n * 4));
const singles = [
  ...[R.domaincfg, R.mmsiaddrcfg, R.mmsiaddrcfgh, R.smsiaddrcfg, R.smsiaddrcfgh, R.genmsi],
  ...[R.setipnum, R.clripnum, R.setienum, R.clrienum, R.setipnum_le, R.setipnum_be],
].map((row) => row.offset);
const idcs = [0, 1, HARTS].flatMap((hart) =>
  (['idelivery', 'iforce', 'ithreshold', 'topi', 'claimi'] as const).map((name) => idc(hart, name)),
);
const place = fc.oneof(
  fc.constantFrom(...SOME_SOURCES).map(sourcecfg),
  fc.constantFrom(...SOME_SOURCES).map(target),
  fc.constantFrom(...words, ...singles, ...idcs),
  fc.nat(0x7fff),
);
const value = fc.oneof(
  source,
  fc.constantFrom(0, 1, 4, 5, 6, 7, IE, 0x400, 0x404, 0xffff_ffff, 0x8000_0000),
  fc.tuple(fc.nat(HARTS), fc.nat(9)).map(([hart, low]) => hart * 2 ** 18 + low),
  fc.nat(0xffff_ffff),
);
const access = fc.record({
  kind: fc.constantFrom('read', 'write', 'write'),
  to: fc.constantFrom('root', 'child'),
  offset: place,
  value,
});
const wire = fc.record({ kind: fc.constant('wire'), source, level: fc.boolean() });
const steps = fc.array(fc.oneof({ weight: 3, arbitrary: access }, wire) as fc.Arbitrary<Step>, { maxLength: 100 });
const config = fc.record({
  delivery: fc.constantFrom<AplicConfig['delivery'][]>('direct', 'msi'),
  delegateAll: fc.boolean(),
});

const make = (options: Partial<AplicConfig>) =>
  pair({ ...options, files: FILES, isTaken: (gpa) => gpa < FILES.machine + 3 * 0x1000 });

function take(steps: readonly Step[], domains: ReturnType<typeof pair>): number[] {
  return steps.flatMap((step) => {
    if (step.kind === 'wire') domains.root.wire(step.source, step.level);
    else if (step.kind === 'write') domains[step.to].write(step.offset, step.value);
    else return [domains[step.to].read(step.offset)];
    return [];
  });
}

const RUNS = { numRuns: 300 };

describe('an APLIC after anything', () => {
  it('keeps what the specification says of pending bits, topi and interrupt lines', () => {
    fc.assert(
      fc.property(config, steps, (options, all) => {
        const domains = make(options);
        take(all, domains);
        for (const domain of [domains.root, domains.child]) checkRegisters(domain, options.delivery);
        checkDelegation(domains.root, domains.child);
      }),
      RUNS,
    );
  });

  it('goes on alike from a saved state', () => {
    fc.assert(
      fc.property(config, steps, steps, (options, before, after) => {
        const first = make(options);
        take(before, first);
        const second = make(options);
        for (const name of ['root', 'child'] as const) {
          second[name].core.load(structuredClone(first[name].core.save()));
          expect(second[name].lines).toEqual(first[name].lines);
          expect(second[name].msis).toEqual([]);
          first[name].msis.length = 0;
        }
        expect(take(after, second)).toEqual(take(after, first));
        for (const name of ['root', 'child'] as const) {
          expect(second[name].core.save()).toEqual(first[name].core.save());
          expect(second[name].core.view()).toEqual(first[name].core.view());
          expect([second[name].lines, second[name].msis]).toEqual([first[name].lines, first[name].msis]);
        }
      }),
      RUNS,
    );
  });

  it('is after a reset as at the beginning, but for the wires', () => {
    fc.assert(
      fc.property(config, steps, fc.boolean(), (options, all, childFirst) => {
        const { root, child } = make(options);
        const fresh = make(options);
        take(all, { root, child, told: [] });
        for (const domain of childFirst ? [child, root] : [root, child]) domain.core.reset();
        for (const [used, unused] of [
          [root, fresh.root],
          [child, fresh.child],
        ] as const) {
          const { level, ...state } = used.core.save();
          expect(state).toEqual({ ...unused.core.save(), level: undefined });
          expect(used.lines).not.toContain(true);
        }
        expect(child.core.save().level).toEqual(root.core.save().level);
      }),
      RUNS,
    );
  });
});

/** One domain, by its registers alone. */
function checkRegisters(domain: Domain, delivery: AplicConfig['delivery']): void {
  const { read, lines } = domain;
  const isOn = (read(R.domaincfg.offset) & IE) !== 0;
  const bitOf = (row: { offset: number }, n: number) => ((read(row.offset + (n >>> 5) * 4) >>> (n & 31)) & 1) === 1;
  const best = new Array<number>(HARTS).fill(0);
  for (let n = 1; n <= SOURCES; n++) {
    const mode = read(sourcecfg(n));
    const [isPending, input, isEnabled] = [R.setip, R.in_clrip, R.setie].map((row) => bitOf(row, n));
    if (mode === 0 || (mode & 0x400) !== 0) {
      expect([isPending, input, isEnabled, read(target(n))]).toEqual([false, false, false, 0]);
      continue;
    }
    if (mode === 1) expect(input).toBe(false);
    if (mode >= 6 && delivery === 'direct') expect(isPending).toBe(input);
    if (mode >= 6 && isPending) expect(input).toBe(true);
    if (delivery === 'msi') expect(isPending && isEnabled && isOn).toBe(false);
    const [hart, priority] = [read(target(n)) >>> 18, read(target(n)) & 0xff];
    if (!isPending || !isEnabled || hart >= HARTS || delivery === 'msi') continue;
    const threshold = read(idc(hart, 'ithreshold'));
    const known = best[hart] ?? 0;
    const isBetter = known === 0 || priority < (known & 0xff);
    if ((threshold === 0 || priority < threshold) && isBetter) best[hart] = n * 0x1_0000 + priority;
  }
  for (let hart = 0; hart < HARTS; hart++) {
    expect(read(idc(hart, 'topi'))).toBe(best[hart]);
    const asserted = read(idc(hart, 'iforce')) === 1 || best[hart] !== 0;
    expect(lines[hart]).toBe(isOn && read(idc(hart, 'idelivery')) === 1 && asserted);
  }
}

/** The child can use what the root has delegated to it, and nothing else. */
function checkDelegation(root: Domain, child: Domain): void {
  for (let n = 1; n <= SOURCES; n++) {
    const isDelegated = root.read(sourcecfg(n)) === 0x400;
    const before = child.read(sourcecfg(n));
    child.write(sourcecfg(n), 1);
    expect(child.read(sourcecfg(n))).toBe(isDelegated ? 1 : 0);
    child.write(sourcecfg(n), before);
  }
}
