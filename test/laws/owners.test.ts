/** One owner: only an actor's logic references its core, and the registers of a stopped actor fault. */
import { describe, expect, it } from 'vitest';
import {
  aclint,
  type DeviceDefinition,
  deviceActorLogic,
  goldfishRtc,
  plic,
  RegisterWindows,
  testFinisher,
  uart16550,
} from '../../actors/devices.ts';
import { BUS_FAULT, createActor } from '../../src/actor/index.ts';
import { Simulation } from '../../src/loop/index.ts';
import { type Source, sources } from './sources.ts';

const nothing = (): void => {};
const line = { set: nothing };
const hart = {
  softwareInterrupt: () => false,
  setSoftwareInterrupt: nothing,
  readMtimecmp: () => 0,
  writeMtimecmp: nothing,
};

interface Case {
  readonly definition: DeviceDefinition<object, unknown, unknown, { type: string }>;
  readonly ports: object;
  readonly config: unknown;
}

/** With its types forgotten: here devices are all alike. */
function device<P extends object, C, S, E>(definition: DeviceDefinition<P, C, S, E>, ports: P, config: C): Case {
  return { definition: definition as unknown as Case['definition'], ports, config };
}

/** Every device there is. */
const DEVICES: readonly Case[] = [
  device(aclint, { harts: [hart], readMtime: () => 0 }, undefined),
  device(goldfishRtc, { irq: line }, undefined),
  device(plic, { context: () => line }, { sources: 96, contexts: 2 }),
  device(testFinisher, { finish: nothing }, undefined),
  device(uart16550, { irq: line, char: { write: () => true, read: () => -1 } }, undefined),
];

/** The vCPU's core is made by its thread, which must run it between the loop's turns. */
const SHARED_CORES: Readonly<Record<string, string>> = {
  'actors/cpu/vcpu-core.ts#VcpuCore': 'the thread runs its slices',
};

const actors = sources('actors');

describe('owners', () => {
  it('are known: every device is in the list above', () => {
    const defined = actors.filter(({ code }) => /\bdefineDevice[<(]/.test(code)).length;
    expect(DEVICES.length).toBe(defined);
  });

  it('make their cores themselves: nobody else calls create()', () => {
    const callers = sources('src', 'actors', 'machines').filter(({ code }) => /\bdefinition\.create\(/.test(code));
    expect(callers.map(({ path }) => path)).toEqual(['src/actor/device-logic.ts']);
  });

  it('keep their cores: no class of a core leaves its file', () => {
    const exported = actors.flatMap(exportedCores);
    expect(exported).toEqual(Object.keys(SHARED_CORES));
  });

  it.each(
    DEVICES.flatMap((one) => [
      { name: one.definition.name, how: 'stopped', one },
      { name: one.definition.name, how: 'removed', one },
    ]),
  )('of $name, once $how, leave registers that fault', ({ one, how }) => {
    const { definition, ports, config } = one;
    const windows = new RegisterWindows();
    const loop = new Simulation(1).loop('main');
    const actor = createActor(deviceActorLogic(definition, { loop, ports, config, registers: windows }), { id: 'it' });
    actor.start();
    const window = windows.get('it');
    expect(window?.read(0, 4)).toBeGreaterThanOrEqual(0);
    if (how === 'stopped') actor.stop();
    else actor.send({ type: 'device.remove' });
    for (const offset of [0, 4, definition.lengthBytes - 4]) {
      expect(window?.read(offset, 4)).toBe(BUS_FAULT);
      expect(window?.write(offset, 0, 4)).toBe(BUS_FAULT);
    }
  });
});

function exportedCores({ path, code }: Source): string[] {
  return [...code.matchAll(/\bexport (?:abstract )?class (\w*Core)\b/g)].map((match) => `${path}#${match[1]}`);
}
