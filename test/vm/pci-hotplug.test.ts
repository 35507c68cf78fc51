/** Hot-plug as a guest sees it: a program does what Linux's pciehp does with the slot of a root port. */
import { describe, expect, it, vi } from 'vitest';
import type { VmPciDevice } from '../../actors/board/virt-pci-functions.ts';
import { edu } from '../../actors/devices.ts';
import { ConfigError } from '../../src/util/config-error.ts';
import { reaches, results } from '../support/harts.ts';
import { BUSY_GPA, card, GONE, IDENTITY, PLUGGED, RELEASED, SAYS, started } from '../support/hotplug-guest.ts';
import { bare, within } from '../support/machines.ts';
import { type InterruptWay, intxSource, TRAPPED } from '../support/pci-guest.ts';

const END_MS = 20_000;

describe.each<readonly [string, InterruptWay]>([
  ['INTA through the PLIC', { aia: 'none', hart: 0, source: intxSource(1) }],
  ['INTA through the APLIC, on hart 1', { aia: 'aplic', hart: 1, source: intxSource(1) }],
  ['MSI to hart 0', { aia: 'aplic-imsic', hart: 0, identity: IDENTITY }],
  ['MSI to hart 1', { aia: 'aplic-imsic', hart: 1, identity: IDENTITY }],
])('a guest that hears of its slot by %s', (_name, way) => {
  it('takes functions in and lets go of them', async () => {
    const vm = await started(way);
    const said: number[] = [SAYS.ready];
    for (const name of ['card', 'card', 'other']) {
      vm.plug(card(name));
      said.push(...PLUGGED);
      await reaches(vm, said);
      await within(END_MS, 'the guest lets go', vm.unplug(name));
      said.push(...RELEASED);
      await reaches(vm, said);
    }
    expect(results(vm, 1, said.length)).toEqual([0]);
    expect(vm.state).toBe('running');
  });

  it('survives that one is pulled out while it copies', async () => {
    const vm = await started(way);
    const said: number[] = [SAYS.ready];
    for (let round = 0; round < 3; round++) {
      vm.memory.write(BUSY_GPA, Uint8Array.of(1));
      vm.plug(card());
      said.push(...PLUGGED);
      await reaches(vm, said);
      await within(END_MS, 'it is out', vm.unplug('card', { surprise: true }));
      said.push(...GONE);
      await reaches(vm, said);
      vm.memory.write(BUSY_GPA, Uint8Array.of(0));
      vm.plug(card());
      said.push(...PLUGGED);
      await reaches(vm, said);
      await within(END_MS, 'the guest lets go', vm.unplug('card'));
      said.push(...RELEASED);
      await reaches(vm, said);
    }
    expect(results(vm, 200).includes(TRAPPED)).toBe(false);
  });
});

describe('a slot', () => {
  const way: InterruptWay = { aia: 'none', hart: 0, source: intxSource(1) };

  it('takes one function, by a name that is free, where there is a port', async () => {
    const root: VmPciDevice = { name: 'fixed', definition: edu as never };
    const vm = await started(way, { pci: [root], rootPorts: ['rp0', 'rp1'] });
    vm.plug(card());
    const refused = (device: VmPciDevice): void => expect(() => vm.plug(device)).toThrow(ConfigError);
    refused(card('second'));
    refused(card('card', 'rp1'));
    refused(card('fixed', 'rp1'));
    refused(card('rp1', 'rp1'));
    refused(card('serial0', 'rp1'));
    refused(card('Not A Name', 'rp1'));
    refused(card('second', 'rp7'));
    refused({ name: 'second', definition: edu as never });
    await expect(vm.unplug('nobody')).rejects.toThrow(ConfigError);
    await expect(vm.unplug('fixed')).rejects.toThrow(ConfigError);
    await expect(vm.unplug('rp1')).rejects.toThrow(ConfigError);
    await reaches(vm, [SAYS.ready, ...PLUGGED]);
    // A slot that the guest has not switched on lets go at once.
    vm.plug(card('second', 'rp1'));
    await within(END_MS, 'out of the other', vm.unplug('second'));
    const one = vm.unplug('card');
    const same = vm.unplug('card');
    await within(END_MS, 'both hear of it', Promise.all([one, same]));
    await expect(vm.unplug('card')).rejects.toThrow(ConfigError);
    vm.plug(card());
    await reaches(vm, [SAYS.ready, ...PLUGGED, ...RELEASED, ...PLUGGED]);
  });

  it('keeps what is in it over a reset, and what was plugged while the machine stood', async () => {
    const vm = await started(way);
    await vm.pause();
    vm.plug(card());
    vm.resume();
    await reaches(vm, [SAYS.ready, ...PLUGGED]);
    vm.reset();
    await vi.waitFor(() => expect(vm.state).toBe('running'), { timeout: END_MS });
    await reaches(vm, [SAYS.ready, 0]);
    await within(END_MS, 'it is out', vm.unplug('card', { surprise: true }));
    vm.plug(card('next'));
    await reaches(vm, [SAYS.ready, ...PLUGGED]);
  });

  it('tells who waits for a guest that does not answer when the machine is stopped', async () => {
    const vm = await bare('halt: wfi\nj halt', { rootPorts: ['rp0'], pci: [card()] });
    vm.start();
    const asked = vm.unplug('card').then(
      () => 'out',
      (error: Error) => error.message,
    );
    await vm.stop();
    expect(await within(END_MS, 'the answer', asked)).toBe('the machine was stopped');
  });
});
