/**
 * What every device promises, whatever the guest does to its registers. What it promises while it is quiesced is the
 * actor's business (test/actor).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimLoop } from '../support/sim-loop.ts';
import { type DeviceEntry, devices, type Specimen } from './registry.ts';

type Step =
  | { readonly kind: 'read'; readonly offset: number; readonly size: 1 | 2 | 4 }
  | { readonly kind: 'write'; readonly offset: number; readonly size: 1 | 2 | 4; readonly value: number }
  | { readonly kind: 'advance'; readonly durationNs: number }
  | { readonly kind: 'input'; readonly input: number; readonly level: boolean }
  | { readonly kind: 'event'; readonly event: unknown };

const EDGES = [0, 1, 2, 3, 4, 7, 0x80, 0xff, 0x3333, 0x5555, 0x7777, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** Steps that fall on registers more often than beside them. @param withOthers what other devices tell this one */
function stepsFor({ definition, registers, events }: DeviceEntry, withOthers = true): fc.Arbitrary<Step[]> {
  const size = fc.constantFrom<1 | 2 | 4>(1, 2, 4, 4);
  const known = Object.values(registers).flatMap((row) => {
    const stride = row.strideBytes ?? row.widthBytes;
    return [0, 1, 2, 3, (row.count ?? 1) - 1]
      .filter((index) => index < (row.count ?? 1))
      .map((index) => row.offset + index * stride);
  });
  const offset = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...known) },
    { weight: 1, arbitrary: fc.nat(definition.lengthBytes - 1) },
  );
  const place = fc.record({ offset, size }).map(({ offset, size }) => {
    return { size, offset: Math.min(offset, definition.lengthBytes - size) };
  });
  const value = fc.oneof(fc.constantFrom(...EDGES), fc.nat(0xff), fc.integer({ min: 0, max: 0xffff_ffff }));
  const input = fc
    .record({ input: fc.integer({ min: -1, max: 98 }), level: fc.boolean() })
    .map((wire): Step => ({ kind: 'input', ...wire }));
  const step = fc.oneof(
    place.map((at): Step => ({ kind: 'read', ...at })),
    fc.record({ at: place, value }).map(({ at, value }): Step => ({ kind: 'write', ...at, value })),
    fc.nat(5_000_000).map((durationNs): Step => ({ kind: 'advance', durationNs })),
    ...(events === null || !withOthers ? [] : [events.map((event): Step => ({ kind: 'event', event }))]),
    ...(withOthers ? [input] : []),
  );
  return fc.array(step, { maxLength: 120 });
}

/** Takes the steps. @returns what each read gave */
function take(steps: readonly Step[], { core }: Specimen, loop: SimLoop): number[] {
  const values: number[] = [];
  for (const step of steps) {
    if (step.kind === 'read') values.push(checkedRead(core, step.offset, step.size));
    else if (step.kind === 'write') write(core, step);
    else if (step.kind === 'event') core.handle?.(step.event);
    else if (step.kind === 'input') core.input?.(step.input, step.level);
    else loop.advance(step.durationNs);
  }
  return values;
}

function write(core: Specimen['core'], { offset, value, size }: Step & { readonly kind: 'write' }): void {
  core.mmioWrite?.(offset, value, size);
  core.mmioWriteLater?.(offset, value, size, () => {});
}

function checkedRead(core: Specimen['core'], offset: number, size: 1 | 2 | 4): number {
  const value = core.mmioRead?.(offset, size) ?? 0;
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) {
    throw new Error(`a read of ${size} bytes at 0x${offset.toString(16)} gave ${value}`);
  }
  return value;
}

const RUNS = { numRuns: 150 };

describe.each(devices.map((entry) => ({ name: entry.definition.name, entry })))('$name', ({ entry }) => {
  const start = () => {
    const loop = new SimLoop();
    return { loop, specimen: entry.make(loop) };
  };

  it('takes any access, and gives unsigned values that fit', () => {
    fc.assert(
      fc.property(stepsFor(entry), (steps) => {
        const { loop, specimen } = start();
        take(steps, specimen, loop);
        specimen.core.view();
      }),
      RUNS,
    );
  });

  it('is after a reset as after power-on, and resetting again changes nothing', () => {
    // Without what others say: what they have told the device (the level of a wire) is not its own to forget.
    fc.assert(
      fc.property(stepsFor(entry, false), (steps) => {
        const { loop, specimen } = start();
        take(steps, specimen, loop);
        specimen.core.reset();
        const once = structuredClone(specimen.core.save());
        specimen.core.reset();
        expect(specimen.core.save()).toEqual(once);
        expect(once).toEqual(start().specimen.core.save());
        expect([...specimen.wires.values()]).not.toContain(true);
      }),
      RUNS,
    );
  });

  it('is the same after save, load, save, and goes on the same', () => {
    fc.assert(
      fc.property(stepsFor(entry), stepsFor(entry), (before, after) => {
        const first = start();
        take(before, first.specimen, first.loop);
        const saved = structuredClone(first.specimen.core.save());
        const second = start();
        second.loop.advance(first.loop.nowNs());
        second.specimen.core.load(structuredClone(saved));
        expect(second.specimen.core.save()).toEqual(saved);
        expect(first.specimen.core.save()).toEqual(saved);
        for (const [name, level] of first.specimen.wires) expect(second.specimen.wires.get(name) ?? false).toBe(level);
        const spoken = [first.specimen.said.length, second.specimen.said.length] as const;
        expect(take(after, second.specimen, second.loop)).toEqual(take(after, first.specimen, first.loop));
        expect(second.specimen.said.slice(spoken[1])).toEqual(first.specimen.said.slice(spoken[0]));
        expect(second.specimen.core.save()).toEqual(first.specimen.core.save());
      }),
      RUNS,
    );
  });

  it('does not share what it has saved', () => {
    fc.assert(
      fc.property(stepsFor(entry), stepsFor(entry), (before, after) => {
        const { loop, specimen } = start();
        take(before, specimen, loop);
        const saved = specimen.core.save();
        const copy = structuredClone(saved);
        take(after, specimen, loop);
        expect(saved).toEqual(copy);
      }),
      { numRuns: 30 },
    );
  });

  it('refuses saved state that is not its own, and stays as it was', () => {
    const { specimen } = start();
    const { core } = specimen;
    const good = core.save() as Record<string, unknown>;
    const wrong: unknown[] = [null, 5, 'state', { ...good, surplus: 1 }];
    for (const name of Object.keys(good)) {
      const { [name]: _, ...without } = good;
      wrong.push(without, { ...good, [name]: 'text' }, { ...good, [name]: -1 }, { ...good, [name]: [Number.NaN] });
    }
    for (const state of wrong) {
      expect(() => core.load(state)).toThrow();
      expect(core.save()).toEqual(good);
    }
  });

  it('has a register table that lies within its window', () => {
    for (const row of Object.values(entry.registers)) {
      const last = row.offset + ((row.count ?? 1) - 1) * (row.strideBytes ?? row.widthBytes);
      expect(last + row.widthBytes).toBeLessThanOrEqual(entry.definition.lengthBytes);
    }
  });
});

describe('the suite', () => {
  it('covers every device that is defined', async () => {
    const covered: unknown[] = devices.map(({ definition }) => definition);
    const files = readdirSync('actors', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    const defining = files.filter((name) =>
      /\bdefine(Device|PciFunction)[<(]/.test(readFileSync(join('actors', name), 'utf8')),
    );
    expect(defining.length).toBeGreaterThan(0);
    for (const name of defining) {
      const module: Record<string, unknown> = await import(pathToFileURL(join('actors', name)).href);
      const defined = Object.values(module).filter(isDefinition);
      expect(defined.length, `${name} exports what it defines`).toBeGreaterThan(0);
      for (const one of defined) expect(covered, name).toContain(one);
    }
  });

  it('knows each device by a name of its own', () => {
    const names = devices.map(({ definition }) => definition.name);
    expect(new Set(names).size).toBe(names.length);
  });
});

function isDefinition(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'create' in value && 'lengthBytes' in value;
}
