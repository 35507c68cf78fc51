/** Recordings: runs with inputs from outside, repeated exactly; and files that are no recordings. */
import { describe, expect, it } from 'vitest';
import { ConfigError, createVm, type Vm, type VmOptions } from '../../src/index.ts';
import { bare, program, sleep, within } from '../support/machines.ts';
import { FINISH, runOf, simulated, traceOf } from './support.ts';

/** Echoes what is typed, by polling, until a `q`; the second hart counts. */
const ECHO = `
  csrr t0, mhartid
  bnez t0, count
  li s0, UART
look:
  lbu t0, 5(s0)
  andi t0, t0, 1
  beqz t0, look
  lbu t1, 0(s0)
  sb t1, 0(s0)
  li t0, 'q'
  bne t0, t1, look
  li t2, 0x5555
  ${FINISH}
count:
  la s0, counter
again:
  ld t0, 0(s0)
  addi t0, t0, 1
  sd t0, 0(s0)
  j again
.align 3
counter: .dword 0
`;

function listen(vm: Vm): () => string {
  let printed = '';
  vm.console.output.subscribe((bytes) => {
    printed += Buffer.from(bytes).toString('latin1');
  });
  return () => printed;
}

/** A run with everything that can come from outside, at moments that the host decides. */
async function recorded(options: VmOptions = { seed: 11 }) {
  let text = '';
  const record = (piece: string): void => {
    text += piece;
  };
  const vm = await simulated(ECHO, { ...options, record });
  const printed = listen(vm);
  vm.start();
  await sleep(2);
  vm.console.write('one');
  await vm.console.expect('one');
  await vm.pause();
  vm.console.write(Uint8Array.of(0, 255, 10));
  await sleep(2);
  vm.resume();
  await sleep(2);
  vm.reset();
  vm.console.write('two');
  await vm.console.expect('two');
  await sleep(1);
  vm.console.write('q');
  await within(10_000, 'the end', vm.finished);
  await runOf(vm).runUntil({});
  const trace = { ...traceOf(vm), printed: printed() };
  await vm.stop();
  return { text, trace };
}

async function replayed(replay: string, record?: (text: string) => void) {
  const vm = await simulated(ECHO, { replay, ...(record !== undefined && { record }) });
  const printed = listen(vm);
  vm.start();
  const end = await within(10_000, 'the end', vm.finished);
  await runOf(vm).runUntil({});
  return { vm, end, trace: { ...traceOf(vm), printed: printed() } };
}

describe('a recording', () => {
  it('is repeated exactly', async () => {
    const { text, trace } = await recorded();
    expect(text.split('\n')).toHaveLength(11);
    for (let i = 0; i < 2; i++) {
      const { vm, end, trace: again } = await replayed(text);
      expect(end).toEqual({ kind: 'poweroff', code: 0 });
      expect(again).toEqual(trace);
      expect(runOf(vm).seed).toBe(11);
    }
  });

  it('is recorded again by its replay', async () => {
    const { text } = await recorded();
    let again = '';
    const { vm } = await replayed(text, (piece) => {
      again += piece;
    });
    await vm.stop();
    expect(again).toBe(text);
  });

  it('draws a seed where none is given', async () => {
    const { text, trace } = await recorded({});
    expect((await replayed(text)).trace).toEqual(trace);
  });

  it('goes on with the caller where it ends, who is not heard before', async () => {
    const { text } = await recorded();
    const lines = text.split('\n');
    const cut = lines.slice(0, 3).join('\n');
    const vm = await simulated(ECHO, { replay: cut });
    const printed = listen(vm);
    let room = 0;
    vm.console.onRoom(() => {
      room += 1;
    });
    expect(runOf(vm).replaying).toBe(true);
    expect(vm.console.write('too early')).toBe(0);
    vm.start();
    await vm.console.expect('one');
    expect(runOf(vm).replaying).toBe(false);
    expect(room).toBe(1);
    expect(vm.console.write('more q')).toBe(6);
    await within(10_000, 'the end', vm.finished);
    expect(printed()).toBe('onemore q');
  });

  it.each([
    ['says something else of its end', (text: string) => text.replace(/"log":"./, '"log":"x'), 'its log is'],
    ['says something else of instructions', (text: string) => text.replace('"instructions":[', '$&1'), 'its log is'],
    [
      'expects more steps',
      (text: string) => `${text.replace(/\{.*end.*/, '{"step":99999999,"machine":"reset"}')}`,
      'rest',
    ],
  ])('that %s fails the machine', async (_what, change, why) => {
    const { text } = await recorded();
    const { vm } = await replayed(change(text));
    expect(vm.state).toBe('internal-error');
    const { error } = (vm.actor.getSnapshot() as { context: { error: unknown } }).context;
    expect(String(error)).toContain('not what was recorded');
    expect(String(error)).toContain(why);
  });

  it('that ended with the guest is compared when the replay is stopped there', async () => {
    const run = async (options: VmOptions): Promise<void> => {
      const vm = await bare(ECHO, { harts: 2, ramBytes: 4 * 2 ** 20, ...options });
      vm.start();
      vm.console.write('q');
      await within(10_000, 'the end', vm.finished);
      await vm.stop();
    };
    let text = '';
    await run({
      seed: 4,
      record: (piece) => {
        text += piece;
      },
    });
    await run({ replay: text });
    await expect(run({ replay: text.replace(/"log":"./, '"log":"x') })).rejects.toThrow('not what was recorded');
  });

  it('is of one machine and one guest', async () => {
    const { text } = await recorded();
    const options: VmOptions = { bios: 'none', kernel: program(ECHO), ramBytes: 4 * 2 ** 20, harts: 2, replay: text };
    const other: VmOptions[] = [
      { harts: 1 },
      { ramBytes: 8 * 2 ** 20 },
      { kernel: program('j 0x80000000') },
      { noReboot: true },
      { log: { items: ['int'] } },
    ];
    for (const change of other) {
      const error = await createVm({ ...options, ...change }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ConfigError);
      expect(String(error)).toContain('another machine');
    }
    await (await createVm(options)).stop();
  });

  const HEADER = '{"recording":"bottomhalf","version":1,"seed":1,"guest":"x"}';
  it.each([
    ['', 'line 1'],
    ['what', 'line 1'],
    ['[]', 'line 1'],
    ['{"recording":"bottomhalf","version":2,"seed":1,"guest":"x"}', 'version 2'],
    ['{"recording":"bottomhalf","version":1,"guest":"x"}', 'seed'],
    ['{"recording":"bottomhalf","version":1,"seed":4294967296,"guest":"x"}', 'seed'],
    [`${HEADER}\n{"step":1`, 'line 2'],
    [`${HEADER}\nnull`, 'line 2'],
    [`${HEADER}\n{"machine":"start"}`, 'no step'],
    [`${HEADER}\n{"step":-1,"machine":"start"}`, 'no step'],
    [`${HEADER}\n{"step":0.5,"machine":"start"}`, 'no step'],
    [`${HEADER}\n{"step":1,"machine":"explode"}`, 'nothing that is known'],
    [`${HEADER}\n{"step":1,"console":7}`, 'nothing that is known'],
    [`${HEADER}\n{"step":1,"console":"a"}`, 'base64'],
    [`${HEADER}\n\n{"step":1,"machine":"start"}`, 'line 2'],
    [`${HEADER}\n{"step":2,"machine":"start"}\n{"step":1,"machine":"pause"}`, 'line 3'],
    [`${HEADER}\n{"step":2,"end":{"log":"x"}}`, 'nothing that is known'],
    [`${HEADER}\n{"step":2,"end":{"log":"x","instructions":[1]}}\n{"step":2,"machine":"start"}`, 'line 3'],
  ])('that is damaged is refused: %s', async (replay, what) => {
    const error = await bare('j 0x80000000', { replay }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain('--replay');
    expect(String(error)).toContain(what);
  });

  it('has its own seed', async () => {
    const error = await bare('j 0x80000000', { replay: HEADER, seed: 2 }).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain('seed 1');
  });
});
