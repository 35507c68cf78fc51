import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Host, runCommand } from '../../src/cli/command.ts';
import { exitStatus, type Machine, type MachineOptions } from '../../src/cli/run.ts';
import type { MachineEnd } from '../../src/index.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bottomhalf-command-'));
  await writeFile(join(directory, 'kernel'), 'kernel');
  await writeFile(join(directory, 'initrd'), 'initrd');
  await writeFile(join(directory, 'empty'), '');
});
afterEach(() => rm(directory, { recursive: true }));

/** Runs the command with a machine that ends as told, or never. */
async function run(args: string, end?: MachineEnd, whileRunning: () => void = () => undefined, endAfterMs = 0) {
  const calls: string[] = [];
  let given: MachineOptions | undefined;
  const createVm = async (options: MachineOptions): Promise<Machine> => {
    given = options;
    return {
      start: () => {
        calls.push('start');
        whileRunning();
      },
      stop: async () => calls.push('stop'),
      save: async (path: string) => {
        calls.push(`save ${path}`);
        if (path.endsWith('full')) throw new Error('the disk is full');
      },
      console: {
        write: (bytes) => bytes.length,
        onRoom: () => undefined,
        output: { subscribe: () => ({ unsubscribe: () => undefined }) },
      },
      finished: new Promise((resolve) => {
        if (end !== undefined) setTimeout(() => resolve(end), endAfterMs);
      }),
    };
  };
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  // A cache and a path with nothing in them: no default guest, no apt.
  const env = { XDG_CACHE_HOME: join(directory, 'cache'), PATH: '' };
  const host = { env, stdin, stdout, stderr, createVm } as unknown as Host;
  const line = args.replaceAll('DIR', directory);
  const status = await runCommand(line === '' ? [] : line.split(' '), host);
  return { status, calls, options: given, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
}

describe('saved machines', () => {
  it('are asked for what was stated, and need no kernel', async () => {
    const { options } = await run('--restore DIR/file -smp 2', { kind: 'poweroff', code: 0 });
    expect(options).toEqual({
      from: join(directory, 'file'),
      harts: 2,
      rootPorts: [],
      pci: [],
      noReboot: false,
    });
  });

  it('are written when SIGUSR1 asks, and what comes of it is told', async () => {
    const ask = () => void process.kill(process.pid, 'SIGUSR1');
    const ending = { kind: 'poweroff', code: 0 } as const;
    const { calls, err } = await run('-kernel DIR/kernel --save DIR/file', ending, ask, 50);
    expect(calls).toEqual(['start', `save ${join(directory, 'file')}`, 'stop']);
    expect(err).toContain(`saved to ${join(directory, 'file')}`);
    const failed = await run('-kernel DIR/kernel --save DIR/full', ending, ask, 50);
    expect(failed.err).toContain('not saved: the disk is full');
    expect(process.listenerCount('SIGUSR1')).toBe(0);
  });
});

describe('the command', () => {
  it('hands the machine what the options name', async () => {
    const { status, options, calls } = await run('-m 64M -kernel DIR/kernel -initrd DIR/initrd -append quiet -d int', {
      kind: 'poweroff',
      code: 0,
    });
    expect(status).toBe(0);
    expect(calls).toEqual(['start', 'stop']);
    expect(options).toMatchObject({ ramBytes: 64 << 20, append: 'quiet', bios: 'default', log: { items: ['int'] } });
    // Twice: for the first start, and read again for a reset.
    const kernel = options?.kernel as () => Uint8Array;
    expect([String(kernel()), String(kernel())]).toEqual(['kernel', 'kernel']);
    expect(options).not.toHaveProperty('dtb');
  });

  it('reads a recording, and writes one', async () => {
    await writeFile(join(directory, 'recorded'), 'what was recorded');
    const { options } = await run('-kernel DIR/kernel --replay DIR/recorded --record DIR/new', {
      kind: 'poweroff',
      code: 0,
    });
    expect(options).toMatchObject({ replay: 'what was recorded' });
    expect(options).not.toHaveProperty('seed');
    options?.record?.('too late');
    expect(await readFile(join(directory, 'new'), 'utf8')).toBe('');
    const during = await run('-kernel DIR/kernel --seed 3 --record DIR/new', { kind: 'poweroff', code: 0 });
    expect(during.options).toMatchObject({ seed: 3 });
  });

  it.each([
    ['-kernel DIR/kernel --replay DIR/none', '--replay', 'no such file'],
    ['-kernel DIR/kernel --record DIR/none/x', '--record', 'cannot write'],
    ['-kernel DIR/none', '-kernel', 'no such file'],
    ['-kernel DIR', '-kernel', 'directory'],
    ['-kernel DIR/kernel -initrd DIR/empty', '-initrd', 'empty'],
    ['-bios DIR/none -kernel DIR/kernel', '-bios', 'no such file'],
    ['-kernel DIR/kernel -serial file:DIR/none/x', '-serial', 'cannot write'],
    ['-kernal x', '-kernal', 'Did you mean -kernel?'],
    ['', 'default guest', 'BOTTOMHALF_DEBIAN_MIRROR'],
  ])("'%s' fails before anything starts", async (args, ...words) => {
    const { status, calls, err } = await run(args);
    expect(status).toBe(1);
    expect(calls).not.toContain('start');
    for (const word of words) expect(err).toContain(word);
    expect(err).not.toContain('    at ');
  });

  it('answers --help and --version on standard output', async () => {
    expect(await run('--help')).toMatchObject({ status: 0, err: '' });
    expect((await run('--version')).out).toMatch(/^bottomhalf \d+\.\d+\.\d+\n$/);
  });

  it('ends in order on a signal', async () => {
    const listeners = process.listenerCount('SIGTERM');
    const { status, calls } = await run('-kernel DIR/kernel', undefined, () => process.emit('SIGTERM', 'SIGTERM'));
    expect(status).toBe(128 + 15);
    expect(calls).toEqual(['start', 'stop']);
    expect(process.listenerCount('SIGTERM')).toBe(listeners);
  });

  it.each([
    ['poweroff', 0, 0],
    ['reboot', 0, 0],
    ['fail', 3, 3],
    ['fail', 0, 1],
    ['fail', 256, 1],
  ] as const)('turns %s with %d into status %d', (kind, code, status) => {
    expect(exitStatus({ kind, code })).toBe(status);
  });
});
