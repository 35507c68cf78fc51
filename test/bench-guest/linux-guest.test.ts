/** How the benchmarks talk to a guest, with the host's shell behind a terminal's echo instead of one. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LinuxGuest, withFiles } from '../bench/linux-guest.ts';
import { NODE_FLAGS, ours, qemu } from '../bench/process-console.ts';
import { PROMPT } from '../bench/results.ts';

const TIMEOUT_MS = 20_000;
const files = { kernel: 'Image', initrd: 'initrd', append: 'words of it' };
/** Echoes each line as it was typed, then runs it, then prompts; dmesg is the guest's. */
const SHELL = `
  const { spawnSync } = require('node:child_process');
  const prompt = () => process.stdout.write('${PROMPT}/# ');
  prompt();
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const text = spawnSync('sh', ['-c', 'dmesg() { :; }; ' + line], { encoding: 'utf8' }).stdout;
    process.stdout.write(line + '\\r\\n' + text.replaceAll('\\n', '\\r\\n'));
    prompt();
  });`;
const shell = { name: 'shell', command: () => [process.execPath, '-e', SHELL] as const };

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bottomhalf-test-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('a guest at its prompt', () => {
  it('gives the output of each command, and not its echo', async () => {
    const guest = await LinuxGuest.boot(shell, files);
    try {
      expect(await guest.run('echo one; echo two', TIMEOUT_MS)).toBe('one\ntwo\n');
      expect(await guest.run('printf unfinished', TIMEOUT_MS)).toBe('unfinished');
      expect(await guest.run('true', TIMEOUT_MS)).toBe('');
      await expect(guest.run('echo why; (exit 3)', TIMEOUT_MS)).rejects.toThrow('status 3: why');
      expect(await guest.run('echo after', TIMEOUT_MS)).toBe('after\n');
    } finally {
      await guest.close();
    }
  });

  it('says which emulator did not come up', async () => {
    const ends = { name: 'short', command: () => [process.execPath, '-e', 'process.exit(7)'] as const };
    await expect(LinuxGuest.boot(ends, files)).rejects.toThrow('short: the process ended with 7');
  });
});

describe('what a guest is booted with', () => {
  it('has the further files in an archive of its own behind the first', () => {
    const first = join(directory, 'first');
    writeFileSync(first, 'abcde');
    const made = withFiles(
      { ...files, initrd: first },
      [{ path: 'bench', kind: 'directory', mode: 0o755 }],
      join(directory, 'both'),
    );
    expect(made).toEqual({ ...files, initrd: join(directory, 'both') });
    const bytes = readFileSync(made.initrd);
    expect(bytes.subarray(0, 14).toString('latin1')).toBe(`abcde${'\0'.repeat(3)}070701`);
    expect(bytes.toString('latin1')).toContain('bench\0');
  });

  it('takes memory, harts and accelerator', () => {
    const common = ['-M', 'virt', '-m', '1G', '-smp', '2', '-kernel', 'Image', '-initrd', 'initrd'];
    const rest = ['-append', 'words of it', '-serial', 'stdio', '-accel', 'jit', '-no-reboot'];
    const machine = { memory: '1G', harts: 2, extra: ['-no-reboot'] };
    expect(ours('ours', 'jit', 'node').command(files, machine)).toEqual([
      ...['node', ...NODE_FLAGS, expect.stringContaining('main.js')],
      ...[...common, ...rest],
    ]);
    expect(qemu('QEMU', ['env', 'A=b', 'qemu'], 'tcg').command(files).join(' ')).toBe(
      'env A=b qemu -M virt -m 512M -smp 1 -kernel Image -initrd initrd -append words of it -serial stdio -accel tcg ' +
        '-display none -monitor none',
    );
  });
});
