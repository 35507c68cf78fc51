/** One owner: only an actor's logic references its core, and the registers of a stopped actor fault. */
import { describe, expect, it } from 'vitest';
import { BUS_FAULT, createActor, deviceActorLogic, RegisterWindows } from '../../src/actor/index.ts';
import { Simulation } from '../../src/loop/index.ts';
import { type DeviceEntry, devices } from '../contract/registry.ts';
import { SimLoop } from '../support/sim-loop.ts';
import { type Source, sources } from './sources.ts';

/** Cores that others than their actor's logic hold, with the reason. */
const SHARED_CORES: Readonly<Record<string, string>> = {
  'actors/cpu/vcpu-core.ts#VcpuCore': 'vcpu.ts, its actor, is a file of its own: it alone imports it',
};

/** A running device's actor, and the window that the bus would have. */
function start({ definition, make }: DeviceEntry) {
  const { name, version, lengthBytes } = definition;
  const create = () => make(new SimLoop()).core;
  const windows = new RegisterWindows();
  const logic = deviceActorLogic(
    { name, version, lengthBytes, create },
    { loop: new Simulation(1).loop('main'), ports: {}, config: undefined, registers: windows },
  );
  const actor = createActor(logic, { id: name }).start();
  actor.send({ type: 'device.start' });
  return { actor, window: windows.get(name) };
}

describe('owners', () => {
  it('make their cores themselves: nobody else calls create()', () => {
    const callers = sources('src', 'actors', 'machines').filter(({ code }) => /\bdefinition\.create\(/.test(code));
    // The second: the core of a PCI function makes, and alone holds, its author's part.
    expect(callers.map(({ path }) => path)).toEqual(['src/actor/device-logic.ts', 'src/pci/function.ts']);
  });

  it('keep their cores: no class of a core leaves its file', () => {
    expect(sources('actors').flatMap(exportedCores)).toEqual(Object.keys(SHARED_CORES));
  });

  it('of a vCPU: its actor alone imports the core, makes the hart and hands out neither', () => {
    const all = sources('src', 'actors', 'machines');
    const usersOf = (name: string) => all.filter(({ code }) => new RegExp(`\\bnew ${name}\\(`).test(code));
    for (const name of ['VcpuCore', 'Hart']) {
      expect(usersOf(name).map(({ path }) => path)).toEqual(['actors/cpu/vcpu.ts']);
    }
  });

  it.each(
    devices.flatMap((entry) =>
      ['stopped', 'removed', 'failed'].map((how) => ({ name: entry.definition.name, how, entry })),
    ),
  )('of $name, once $how, leave registers that fault', ({ entry, how }) => {
    const { actor, window } = start(entry);
    actor.subscribe({ error: () => {} });
    expect(window?.read(0, 4)).toBeGreaterThanOrEqual(0);
    if (how === 'stopped') actor.stop();
    else if (how === 'removed') actor.send({ type: 'device.remove' });
    else actor.send({ type: 'device.failed', error: new Error('our own bug') });
    for (const offset of [0, 4, entry.definition.lengthBytes - 4]) {
      expect(window?.read(offset, 4)).toBe(BUS_FAULT);
      expect(window?.write(offset, 0, 4)).toBe(BUS_FAULT);
    }
  });
});

function exportedCores({ path, code }: Source): string[] {
  return [...code.matchAll(/\bexport (?:abstract )?class (\w*Core)\b/g)].map((match) => `${path}#${match[1]}`);
}
