import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nearest } from '../../src/cli/did-you-mean.ts';
import { helpText, logItems, parseOptions } from '../../src/cli/options.ts';
import { parseSerial } from '../../src/cli/serial-spec.ts';
import { formatSize, parseSize } from '../../src/cli/size.ts';
import { ConfigError } from '../../src/util/config-error.ts';

function failure(args: readonly string[]): ConfigError {
  try {
    parseOptions(args);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error(`no error for ${args.join(' ')}`);
}

describe('options', () => {
  it('have defaults', () => {
    const options = parseOptions([]);
    expect(options).toMatchObject({ ramBytes: 512 << 20, harts: 1, bios: 'default', serial: { kind: 'stdio' } });
    expect(options.kernel).toBeUndefined();
  });

  it("take QEMU's names with one dash", () => {
    const line =
      '-M virt -m 1G -smp 1 -kernel k -initrd i -append a -bios none -dtb d -serial null -no-reboot -nographic -d int,guest_errors -D log -accel interpreter --seed 7 --record r --replay p';
    expect(parseOptions(line.split(' '))).toEqual({
      ramBytes: 2 ** 30,
      harts: 1,
      aia: 'none',
      accel: 'interpreter',
      devices: [],
      kernel: 'k',
      initrd: 'i',
      append: 'a',
      bios: 'none',
      dtb: 'd',
      serial: { kind: 'null' },
      noReboot: true,
      log: ['int', 'guest_errors'],
      logFile: 'log',
      seed: 7,
      record: 'r',
      replay: 'p',
      help: false,
      version: false,
    });
  });

  it('of a saved machine say which were stated: the others are its own', () => {
    const options = parseOptions(['-smp', '2', '--restore', 'file', '--save', 'other']);
    expect(options).toMatchObject({
      save: 'other',
      restore: { file: 'file', stated: ['-smp', '--restore', '--save'] },
    });
    expect(parseOptions(['--restore', 'file', '-bios', 'none']).kernel).toBeUndefined();
    expect(failure(['--restore', 'file', '-append', 'quiet']).path).toBe('-append');
  });

  it('choose the translator', () => {
    expect(parseOptions(['-accel', 'jit'])).toMatchObject({ accel: 'jit', compileThread: undefined });
    expect(parseOptions(['-accel', 'jit,compile-thread=on'])).toMatchObject({ accel: 'jit', compileThread: true });
    expect(parseOptions(['-accel', 'jit,compile-thread=off'])).toMatchObject({ compileThread: false });
    expect(failure(['-accel', 'kvm']).path).toBe('-accel');
  });

  it('take what scripts for QEMU say and what is so anyway, and no more of it', () => {
    const line = '-nodefaults -nographic -serial mon:stdio -display none -monitor none -net none -cpu max';
    expect(parseOptions(line.split(' '))).toEqual(parseOptions([]));
    for (const [name, value] of [
      ['-display', 'gtk'],
      ['-monitor', 'stdio'],
      ['-nic', 'user'],
      ['-cpu', 'sifive-u54'],
    ] as const) {
      expect(failure([name, value])).toMatchObject({ path: name });
    }
  });

  it('take an empty command line', () => {
    expect(parseOptions(['-append', '']).append).toBe('');
  });

  it.each([
    [['-kernle', 'x'], '-kernle', 'Did you mean -kernel?'],
    [['--kernel', 'x'], '--kernel', 'Did you mean -kernel?'],
    [['-xyzzy'], '-xyzzy', '--help'],
    [['vmlinux'], "'vmlinux'", '-kernel vmlinux'],
    [['-kernel'], '-kernel', 'Write -kernel FILE'],
    [['-kernel', '-m', '512'], '-kernel', 'Write -kernel FILE'],
    [['-kernel', ''], '-kernel', 'Write -kernel FILE'],
    [['-m', '3G', '-m', '2G'], '-m', 'once'],
    [['--seed', '-1'], '--seed', '--seed 1'],
    [['--seed', '4294967296'], '--seed', '4294967295'],
    [['-m', 'much'], '-m', '-m 512M'],
    [['-m', '3585M'], '-m', '3584M'],
    [['-m', '0'], '-m', '4M'],
    [['-m', '4095K'], '-m', '4M'],
    [['-smp', '65'], '-smp', 'from 1 to 64'],
    [['-smp', 'cores=2'], '-smp', '-smp 4'],
    [['-M', 'q35'], '-M', 'virt'],
    [['-accel', 'tcg'], '-accel', 'interpreter'],
    [['-accel', 'jit,threads=4'], '-accel', 'compile-thread=on'],
    [['-accel', 'interpreter,compile-thread=on'], '-accel', 'jit,compile-thread'],
    [['-serial', 'pty'], '-serial', 'stdio'],
    [['-d', 'in_asm,nothing'], '-d', 'guest_errors'],
    [['-D', 'f'], '-D', '-d'],
    [['-bios', 'none'], '-bios', '-kernel'],
  ])('%j is an error that names the option and the remedy', (args, path, remedy) => {
    const error = failure(args);
    expect(error.path).toBe(path);
    expect(error.remedy).toContain(remedy);
  });

  it('give help for each of them', () => {
    const help = helpText();
    for (const item of Object.keys(logItems)) expect(help).toContain(item);
    for (const name of ['-M', '-m', '-kernel', '-serial', '-d', '--help', '--version'])
      expect(help).toContain(`  ${name}`);
    expect(Math.max(...help.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  });

  it('are an error or options, whatever the arguments', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('-m', '-M', '-serial', 'virt', '512', 'unix:a,server', '-d', 'int'),
    );
    fc.assert(
      fc.property(fc.array(word), (args) => {
        try {
          parseOptions(args);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('sizes', () => {
  it.each([
    ['512', 512 * 2 ** 20],
    ['512M', 512 * 2 ** 20],
    ['1g', 2 ** 30],
    ['1.5G', 1.5 * 2 ** 30],
    ['64K', 65536],
    ['4096b', 4096],
  ])('%s is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(['', 'M', '-1', '1e3', '0x10', '1 M', '1MB', '.5G'])("'%s' is none", (text) => {
    expect(parseSize(text)).toBeUndefined();
  });

  it('are shown in the unit that fits', () => {
    expect([formatSize(2 ** 30), formatSize(3.5 * 2 ** 30)]).toEqual(['1G', '3584M']);
  });
});

describe('-serial', () => {
  it.each([
    ['stdio', { kind: 'stdio' }],
    ['file:a,b', { kind: 'file', path: 'a,b' }],
    ['unix:/s', { kind: 'unix', path: '/s', server: false, wait: true }],
    ['unix:/s,server', { kind: 'unix', path: '/s', server: true, wait: true }],
    ['unix:/s,server,nowait', { kind: 'unix', path: '/s', server: true, wait: false }],
    ['unix:/s,server=on,wait=off', { kind: 'unix', path: '/s', server: true, wait: false }],
    ['unix:/a,,b,server', { kind: 'unix', path: '/a,b', server: true, wait: true }],
  ])('takes %s', (text, spec) => expect(parseSerial(text)).toEqual(spec));

  it.each(['', 'file:', 'unix:', 'unix:/s,sever', 'tcp::1'])("refuses '%s'", (text) => {
    expect(() => parseSerial(text)).toThrow(ConfigError);
  });
});

it('the nearest name is near', () => {
  expect(nearest('--Append', ['-append', '-initrd'])).toBe('-append');
  expect(nearest('-q', ['-m', '-d'])).toBeUndefined();
});
