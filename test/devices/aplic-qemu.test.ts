/**
 * APLIC domains against QEMU's: the same register accesses and wires, through QEMU's qtest protocol. No program runs.
 *
 * Left out is what QEMU 10 does otherwise than the specification: it keeps a level's pending bit when the wire falls or
 * the mode turns (so that wires of level-sensitive sources stand still here), lets a child configure what is not
 * delegated to it (so that delegation stands still), takes the wire of a detached source for its input (so that it is
 * low here), and keeps reserved modes and fields.
 */
import { spawn } from 'node:child_process';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type AplicConfig, aplicRegisters as R } from '../../actors/irq/aplic.ts';
import { findQemu10, type Qemu10 } from '../support/qemu10.ts';
import { DELEGATE, FILES, HARTS, IE, idc, MODE, pair, sourcecfg, target, targetOf } from './aplic-rig.ts';

const BASES = { root: 0xc00_0000, child: 0xd00_0000 } as const;
type Domain = keyof typeof BASES;
type Step =
  | { readonly kind: 'wire'; readonly source: number; readonly level: boolean }
  | { readonly kind: 'read' | 'write'; readonly to: Domain; readonly offset: number; readonly value: number };

const SEED = 20_240_229;
const SEQUENCES = 6;
const STEPS = 400;
const TIMEOUT_MS = 60_000;
const DOWNLOAD_TIMEOUT_MS = 600_000;

/** Wires that stand still, so that these may be level-sensitive, and others that do not. Evens are the child's. */
const HIGH = [5, 6, 70];
const LOW = [7, 8, 71];
const TOGGLING = [1, 2, 31, 32, 64, 95, 96];
const ALL = [...HIGH, ...LOW, ...TOGGLING];
const ownerOf = (source: number): Domain => (source % 2 === 0 ? 'child' : 'root');

const mode = (source: number) => {
  const level = HIGH.includes(source) ? [MODE.level1] : LOW.includes(source) ? [MODE.level0, MODE.detached] : [];
  return fc.constantFrom(MODE.inactive, MODE.edge1, MODE.edge0, ...level, ...level);
};

function stepsFor(delivery: AplicConfig['delivery']): fc.Arbitrary<Step[]> {
  const aim = (low: number) => fc.tuple(fc.nat(HARTS - 1), fc.nat(low)).map(([hart, value]) => targetOf(hart, value));
  const low = delivery === 'msi' ? 0x7ff : 7;
  const source = fc.constantFrom(...ALL);
  const to = fc.constantFrom<Domain[]>('root', 'child');
  const write = (domain: fc.Arbitrary<Domain>, offset: fc.Arbitrary<number>, value: fc.Arbitrary<number>) =>
    fc.record({ kind: fc.constant('write' as const), to: domain, offset, value });
  const configure = source.chain((n) => write(fc.constant(ownerOf(n)), fc.constant(sourcecfg(n)), mode(n)));
  const aimed = source.chain((n) => write(fc.constant(ownerOf(n)), fc.constant(target(n)), aim(low)));
  const numbers = [R.setipnum, R.clripnum, R.setienum, R.setienum, R.clrienum, R.setipnum_le].map((row) => row.offset);
  const words = [R.setip, R.in_clrip, R.setie, R.clrie].flatMap((row) => [0, 1, 2, 3].map((n) => row.offset + n * 4));
  const names = ['idelivery', 'iforce', 'ithreshold', 'topi', 'claimi'] as const;
  const idcs = Array.from({ length: HARTS }, (_, hart) => names.map((name) => idc(hart, name))).flat();
  const any = fc.oneof(fc.nat(0xffff_ffff), fc.nat(15));
  const places = [
    R.domaincfg.offset,
    R.genmsi.offset,
    ...words,
    ...idcs,
    ...ALL.flatMap((n) => [sourcecfg(n), target(n)]),
  ];
  const read = fc.record({
    kind: fc.constant('read' as const),
    to,
    offset: fc.constantFrom(...places),
    value: fc.constant(0),
  });
  const wire = fc.record({
    kind: fc.constant('wire' as const),
    source: fc.constantFrom(...TOGGLING),
    level: fc.boolean(),
  });
  const step = fc.oneof(
    { weight: 4, arbitrary: configure },
    { weight: 3, arbitrary: aimed },
    { weight: 4, arbitrary: write(to, fc.constantFrom(...numbers), fc.oneof(source, fc.nat(200))) },
    { weight: 2, arbitrary: write(to, fc.constantFrom(...words, ...idcs), any) },
    { weight: 1, arbitrary: write(to, fc.constant(R.domaincfg.offset), fc.constantFrom(0, IE, IE)) },
    { weight: 1, arbitrary: write(to, fc.constant(R.genmsi.offset), aim(low)) },
    { weight: 6, arbitrary: wire },
    { weight: 10, arbitrary: read },
  );
  return fc.array(step, { minLength: STEPS, maxLength: STEPS });
}

/** Delegation, wires and addresses that stay as they are. */
function preparation(): Step[] {
  const write = (offset: number, value: number): Step => ({ kind: 'write', to: 'root', offset, value });
  return [
    ...ALL.filter((n) => ownerOf(n) === 'child').map((n) => write(sourcecfg(n), DELEGATE)),
    ...HIGH.map((n): Step => ({ kind: 'wire', source: n, level: true })),
    write(R.mmsiaddrcfg.offset, FILES.machine / 0x1000),
    write(R.mmsiaddrcfgh.offset, 0x2000),
    write(R.smsiaddrcfg.offset, FILES.supervisor / 0x1000),
    ...[R.mmsiaddrcfg, R.mmsiaddrcfgh, R.smsiaddrcfg, R.smsiaddrcfgh].flatMap(({ offset }): Step[] => [
      { kind: 'read', to: 'root', offset, value: 0 },
      { kind: 'read', to: 'child', offset, value: 0 },
    ]),
  ];
}

/** Our domains' answers; without reads of the targets of inactive sources, which QEMU shows. */
function ours(delivery: AplicConfig['delivery'], steps: readonly Step[]): { asked: Step[]; values: number[] } {
  const domains = pair({ delivery });
  const values: number[] = [];
  const asked = steps.filter((step) => {
    if (step.kind === 'wire') domains.root.wire(step.source, step.level);
    else if (step.kind === 'write') domains[step.to].write(step.offset, step.value);
    else {
      const index = (step.offset - R.target.offset) / 4;
      const isTarget = index >= 0 && index < R.target.count;
      if (isTarget && (domains[step.to].read(sourcecfg(index + 1)) & MODE.level0) === 0) return false;
      values.push(domains[step.to].read(step.offset));
    }
    return true;
  });
  return { asked, values };
}

function commandOf(step: Step, root: string): string {
  if (step.kind === 'wire') return `set_irq_in ${root} unnamed-gpio-in ${step.source} ${step.level ? 1 : 0}`;
  const address = `0x${(BASES[step.to] + step.offset).toString(16)}`;
  return step.kind === 'read' ? `readl ${address}` : `writel ${address} 0x${step.value.toString(16)}`;
}

/** What QEMU answers to the reads. */
function theirs(qemu: readonly string[], delivery: AplicConfig['delivery'], steps: readonly Step[]): Promise<number[]> {
  const [command = '', ...first] = qemu;
  const aia = delivery === 'msi' ? 'aplic-imsic' : 'aplic';
  const machine = ['-M', `virt,aia=${aia}`, '-smp', String(HARTS), '-S', '-bios', 'none', '-nodefaults'];
  const child = spawn(command, [
    ...first,
    ...machine,
    '-display',
    'none',
    '-qtest',
    'stdio',
    '-qtest-log',
    '/dev/null',
  ]);
  // The board makes two other devices first, the interrupt files of two levels, then the root.
  const root = `/machine/unattached/device[${2 + (delivery === 'msi' ? HARTS * 2 : 0)}]`;
  child.stdin.write(`${steps.map((step) => commandOf(step, root)).join('\n')}\n`);
  return new Promise((resolve, reject) => {
    let text = '';
    let complaints = '';
    child.stderr.on('data', (bytes: Buffer) => {
      complaints += bytes.toString();
    });
    child.stdout.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      const answers = text.split('\n').slice(0, -1);
      if (answers.length < steps.length) return;
      child.kill();
      const reads = answers.filter((_, i) => steps[i]?.kind === 'read');
      resolve(reads.map((line) => Number(line.replace('OK ', ''))));
    });
    child.on('error', reject);
    child.on('close', (code) => reject(new Error(`QEMU ended (${code}): ${complaints}`)));
  });
}

describe('an APLIC and QEMU 10', () => {
  let qemu: Qemu10 = { command: null, reason: '' };

  beforeAll(async () => {
    qemu = await findQemu10();
  }, DOWNLOAD_TIMEOUT_MS);

  it.for(['direct', 'msi'] as const)(
    'agree on registers, delivery %s',
    { timeout: TIMEOUT_MS },
    async (delivery, { skip }) => {
      const { command } = qemu;
      if (command === null) return skip(qemu.reason);
      for (const sequence of fc.sample(stepsFor(delivery), { seed: SEED, numRuns: SEQUENCES })) {
        const { asked, values } = ours(delivery, [...preparation(), ...sequence]);
        const answers = await theirs(command, delivery, asked);
        expect(values.filter((value) => value !== 0).length).toBeGreaterThan(20);
        const reads = asked.flatMap((step, at) => (step.kind === 'read' ? [{ ...step, at }] : []));
        const named = (list: readonly number[]) =>
          reads.map(({ to, offset, at }, i) => `${at} ${to} ${offset.toString(16)}: ${list[i]?.toString(16)}`);
        expect(named(values)).toEqual(named(answers));
      }
    },
  );
});
