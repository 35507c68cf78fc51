/** Functions that run on a vCPU, between two guest instructions. */
import { describe, expect, it } from 'vitest';
import { bare, within } from '../support/machines.ts';

const MODULE = new URL('./vcpu-work-functions.js', import.meta.url).href;
const S1 = 9;
const S2 = 18;
/** Each hart puts its number plus 40 into s2, then spins until s1 is not 0 and ends the machine. */
const SPIN = `
  csrr t0, mhartid
  addi s2, t0, 40
  li s1, 0
again:
  beqz s1, again
  li t0, TEST
  li t1, 0x5555
  sw t1, 0(t0)
  j again
`;
const exchange = (write: number, value: bigint, read: number) => ({
  module: MODULE,
  exportName: 'exchange',
  parameters: { write, value, read },
});

describe('work on a vCPU', () => {
  it('sees and changes the state of the hart it is sent to, while that runs', async () => {
    const vm = await bare(SPIN, { harts: 2 });
    vm.start();
    let seen: unknown;
    do seen = await vm.runOnVcpu(1, exchange(0, 0n, S2));
    while ((seen as { value: bigint }).value === 0n);
    expect(seen).toEqual({ hart: 1, value: 41n });
    await vm.runOnVcpu(1, exchange(S1, 1n, S2));
    expect(await within(10_000, 'the end', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
  });

  it('runs on a paused vCPU too', async () => {
    const vm = await bare(SPIN, { harts: 2 });
    vm.start();
    await vm.pause();
    await vm.runOnVcpu(0, exchange(S2, 7n, S2));
    expect(await vm.runOnVcpu(0, exchange(S2, 8n, S2))).toEqual({ hart: 0, value: 8n });
  });

  it('fails alone when the function throws, is not there, or there is no such hart', async () => {
    const vm = await bare(SPIN, { harts: 2 });
    vm.start();
    const call = (exportName: string, hart = 1, module = MODULE) =>
      vm.runOnVcpu(hart, { module, exportName, parameters: null });
    await expect(call('fails')).rejects.toThrow('not today');
    await expect(call('nothing')).rejects.toThrow('no such function');
    await expect(call('fails', 1, `${MODULE}.missing`)).rejects.toThrow('cannot be loaded');
    await expect(call('fails', 2)).rejects.toThrow('no hart 2');
    expect(vm.state).toBe('running');
  });

  it('is refused when 64 functions are under way to one vCPU', async () => {
    const vm = await bare(SPIN, { harts: 2 });
    const calls = Array.from({ length: 65 }, () => vm.runOnVcpu(1, exchange(S2, 8n, S2)));
    const results = await Promise.allSettled(calls);
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(64);
    expect(results[64]).toMatchObject({ status: 'rejected', reason: { name: 'ChannelFullError' } });
  });

  it('is answered when the machine stops', async () => {
    const vm = await bare(SPIN, { harts: 2 });
    const late = vm.runOnVcpu(1, exchange(S2, 8n, S2)).catch((error: Error) => error.message);
    await vm.stop();
    expect(['the machine was stopped', { hart: 1, value: 8n }]).toContainEqual(await late);
  });
});
