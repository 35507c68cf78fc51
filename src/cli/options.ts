/**
 * The command line's options, one table: QEMU's names with a single dash, our own with two. The parser and the help
 * text derive from it. Not modelled: QEMU's other options; they are an error, never ignored. Scripts written for QEMU
 * may say what is so anyway.
 */
import {
  ACCEL_DEFAULT,
  ACCEL_KINDS,
  type Accel,
  AIA_KINDS,
  type Aia,
  HARTS_MAX,
  RAM_DEFAULT_BYTES,
  RAM_MAX_BYTES,
  RAM_MIN_BYTES,
  SEED_MAX,
} from '../index.ts';
import { ConfigError } from '../util/config-error.ts';
import { type DeviceSpec, deviceKinds, parseDevice } from './device-spec.ts';
import { nearest } from './did-you-mean.ts';
import { parseSerial, type SerialSpec, serialSyntax } from './serial-spec.ts';
import { formatSize, parseSize } from './size.ts';

const pageBytes = 4096;

/** What -d can log -> what it means. */
export const logItems = {
  in_asm: 'instructions, disassembled, when they are first executed',
  int: 'traps and interrupts',
  guest_errors: 'accesses of the guest that nothing answers',
  jit: 'with -accel jit: what is translated, and how translations are left',
} as const;

export type LogItem = keyof typeof logItems;

/** What the user asked for; files are named, not opened. */
export interface Options {
  readonly ramBytes: number;
  readonly harts: number;
  readonly aia: Aia;
  readonly accel: Accel;
  /** undefined where the host decides. */
  readonly compileThread: boolean | undefined;
  readonly devices: readonly DeviceSpec[];
  /** undefined for the default guest. */
  readonly kernel: string | undefined;
  readonly initrd: string | undefined;
  readonly append: string | undefined;
  /** `default` for the built-in SBI, `none`, or a file. */
  readonly bios: string;
  readonly dtb: string | undefined;
  readonly serial: SerialSpec;
  readonly noReboot: boolean;
  readonly log: readonly LogItem[];
  /** undefined for standard error. */
  readonly logFile: string | undefined;
  /** Where the machine is saved when the user asks. */
  readonly save: string | undefined;
  /** The file of a saved machine to go on from, and the names of the options that were given beside it. */
  readonly restore: { readonly file: string; readonly stated: readonly string[] } | undefined;
  /** Of a deterministic machine; undefined for one with threads, or where a recording has it. */
  readonly seed: number | undefined;
  readonly record: string | undefined;
  readonly replay: string | undefined;
  readonly help: boolean;
  readonly version: boolean;
}

const defaults: Options = {
  ramBytes: RAM_DEFAULT_BYTES,
  harts: 1,
  aia: 'none',
  accel: ACCEL_DEFAULT,
  compileThread: undefined,
  devices: [],
  kernel: undefined,
  initrd: undefined,
  append: undefined,
  bios: 'default',
  dtb: undefined,
  serial: { kind: 'stdio' },
  noReboot: false,
  log: [],
  logFile: undefined,
  save: undefined,
  restore: undefined,
  seed: undefined,
  record: undefined,
  replay: undefined,
  help: false,
  version: false,
};

interface OptionRow {
  /** The first is the one that help shows. */
  readonly names: readonly [string, ...string[]];
  /** Placeholder of its argument; without one it takes none. */
  readonly argument?: string;
  readonly help: string;
  readonly repeatable?: boolean;
  readonly parse: (value: string, before: Options) => Partial<Options>;
}

/** QEMU's models that mean a hart of 64 bits with what there is. */
const CPU_MODELS: readonly string[] = ['rv64', 'max'];

/** An option that may be given to say what is so anyway. */
function nothingElse(name: string, help: string, ...others: string[]): OptionRow {
  return { names: [name, ...others], argument: 'none', help, parse: (value) => only(name, value, ['none']) };
}

const rows: readonly OptionRow[] = [
  {
    names: ['-M', '-machine'],
    argument: 'virt[,aia=KIND]',
    help: `the board; KIND of interrupt controllers: ${AIA_KINDS.join(', ')} (none: a PLIC)`,
    parse: parseMachine,
  },
  {
    names: ['-m'],
    argument: 'SIZE',
    help: `guest RAM, in MiB or with a suffix K, M or G; up to ${formatSize(RAM_MAX_BYTES)} (${formatSize(RAM_DEFAULT_BYTES)})`,
    parse: (value) => ({ ramBytes: parseRam(value) }),
  },
  {
    names: ['-smp'],
    argument: 'N',
    help: `number of harts, each a thread, up to ${HARTS_MAX} (1)`,
    parse: parseHarts,
  },
  {
    names: ['-accel'],
    argument: 'interpreter|jit[,...]',
    help: `jit translates what is hot; jit,compile-thread=on|off: on a thread for that or not (${ACCEL_DEFAULT})`,
    parse: parseAccel,
  },
  {
    names: ['-kernel'],
    argument: 'FILE',
    help: 'kernel: RISC-V Image or ELF (the default guest: Debian)',
    parse: (value) => ({ kernel: value }),
  },
  { names: ['-initrd'], argument: 'FILE', help: 'initial RAM disk', parse: (value) => ({ initrd: value }) },
  { names: ['-append'], argument: 'STRING', help: "the kernel's command line", parse: (value) => ({ append: value }) },
  {
    names: ['-bios'],
    argument: 'default|none|FILE',
    help: 'firmware: the built-in SBI, none, or a file',
    parse: (value) => ({ bios: value }),
  },
  {
    names: ['-dtb'],
    argument: 'FILE',
    help: "device tree blob instead of the board's own",
    parse: (value) => ({ dtb: value }),
  },
  {
    names: ['-device'],
    argument: 'KIND[,id=ID][,...]',
    help: `a PCI device, may be given several times: ${Object.keys(deviceKinds).join(', ')}`,
    repeatable: true,
    parse: (value, before) => ({ devices: [...before.devices, parseDevice(value, before.devices.length)] }),
  },
  {
    names: ['-serial'],
    argument: 'BACKEND',
    help: `the console: ${serialSyntax} (stdio)`,
    parse: (value) => ({ serial: parseSerial(value) }),
  },
  {
    names: ['-cpu'],
    argument: CPU_MODELS.join('|'),
    help: 'for scripts written for QEMU: there is one kind of hart anyway',
    parse: (value) => only('-cpu', value, CPU_MODELS),
  },
  { names: ['-nographic'], help: 'the same: there is no display', parse: () => ({}) },
  nothingElse('-display', 'the same'),
  nothingElse('-monitor', 'the same: there is no monitor'),
  nothingElse('-nic', 'the same: there is no network card', '-net'),
  { names: ['-nodefaults'], help: 'the same: the board has nothing that could be left out', parse: () => ({}) },
  { names: ['-no-reboot'], help: 'exit when the guest reboots', parse: () => ({ noReboot: true }) },
  {
    names: ['-d'],
    argument: 'ITEM[,ITEM]',
    help: `log: ${Object.keys(logItems).join(', ')}`,
    parse: (value) => ({ log: value.split(',').map(parseLogItem) }),
  },
  {
    names: ['-D'],
    argument: 'FILE',
    help: 'where the log goes (standard error)',
    parse: (value) => ({ logFile: value }),
  },
  {
    names: ['--save'],
    argument: 'FILE',
    help: 'where Ctrl-A S, or the signal SIGUSR1, saves the machine; it then goes on',
    parse: (value) => ({ save: value }),
  },
  {
    names: ['--restore'],
    argument: 'FILE',
    help: 'go on from a saved machine, made as it was; -kernel only for a later reset',
    parse: (value) => ({ restore: { file: value, stated: [] } }),
  },
  {
    names: ['--seed'],
    argument: 'N',
    help: 'deterministic: one thread, simulated time, and a number that decides every order',
    parse: parseSeed,
  },
  {
    names: ['--record'],
    argument: 'FILE',
    help: 'deterministic, and what comes from outside is noted in FILE',
    parse: (value) => ({ record: value }),
  },
  {
    names: ['--replay'],
    argument: 'FILE',
    help: 'repeat a recorded run, then go on with the console',
    parse: (value) => ({ replay: value }),
  },
  { names: ['--help', '-help', '-h'], help: 'show this text', parse: () => ({ help: true }) },
  { names: ['--version', '-version'], help: 'show the version', parse: () => ({ version: true }) },
];

/** Later than an option's own check: what does not go together. */
function checkTogether(options: Options, stated: readonly string[]): Options {
  const { restore } = options;
  const images = ['-initrd', '-append', '-dtb'].find((name) => stated.includes(name));
  if (restore !== undefined && options.kernel === undefined && images !== undefined) {
    throw new ConfigError(images, 'without -kernel it is of no use to a saved machine', 'Name the kernel as well.');
  }
  if (restore === undefined && options.bios === 'none' && options.kernel === undefined) {
    throw new ConfigError(
      '-bios',
      "'none' without -kernel leaves nothing to run",
      'Name a bare-metal program with -kernel.',
    );
  }
  if (options.logFile !== undefined && options.log.length === 0) {
    throw new ConfigError('-D', 'nothing is logged', `Say what to log with -d: ${Object.keys(logItems).join(', ')}.`);
  }
  return restore === undefined ? options : { ...options, restore: { ...restore, stated } };
}

/** @throws ConfigError naming the option and the remedy */
export function parseOptions(args: readonly string[]): Options {
  const given = new Set<OptionRow>();
  let options = defaults;
  for (let at = 0; at < args.length; at++) {
    const name = args[at] ?? '';
    const row = rows.find(({ names }) => names.includes(name)) ?? unknownOption(name);
    if (given.has(row) && row.repeatable !== true) throw new ConfigError(name, 'given twice', 'Give it once.');
    given.add(row);
    const value = row.argument === undefined ? '' : argumentOf(row, name, args[++at]);
    options = { ...options, ...row.parse(value, options) };
  }
  if (options.help || options.version) return options;
  return checkTogether(
    options,
    [...given].map(({ names }) => names[0]),
  );
}

/** The text for --help, one line for each option. */
export function helpText(): string {
  const left = rows.map(({ names, argument }) => `${names.join(', ')}${argument === undefined ? '' : ` ${argument}`}`);
  const width = Math.max(...left.map((text) => text.length));
  return [
    'Usage: bottomhalf [OPTION]...',
    "Runs a RISC-V machine. Without -kernel it boots Debian's kernel to a shell, fetching it the first time.",
    '',
    ...rows.map(({ help }, index) => `  ${left[index]?.padEnd(width)}  ${help}`),
    '',
    'On a terminal, Ctrl-A X quits, Ctrl-A S saves and Ctrl-A H lists the keys.',
    '',
  ].join('\n');
}

function unknownOption(name: string): never {
  if (!name.startsWith('-')) {
    throw new ConfigError(`'${name}'`, 'is no option', `A kernel is named with -kernel: -kernel ${name}`);
  }
  const known = nearest(
    name,
    rows.flatMap(({ names }) => names),
  );
  const guess = known === undefined ? '' : `Did you mean ${known}? `;
  throw new ConfigError(name, 'unknown option', `${guess}bottomhalf --help lists the options.`);
}

function argumentOf(row: OptionRow, name: string, value: string | undefined): string {
  // A path may begin with a dash, an option's name is taken for a forgotten argument.
  if (value === undefined || value === '' || rows.some(({ names }) => names.includes(value))) {
    // An empty command line is a command line.
    if (value === '' && row.names[0] === '-append') return value;
    throw new ConfigError(name, 'needs an argument', `Write ${name} ${row.argument}.`);
  }
  return value;
}

function only(name: string, value: string, known: readonly string[]): Partial<Options> {
  if (known.includes(value)) return {};
  throw new ConfigError(name, `'${value}' is not known`, `Write ${name} ${known.join(' or ')}.`);
}

function parseAccel(value: string): Partial<Options> {
  const [kind = '', ...properties] = value.split(',');
  only('-accel', kind, ACCEL_KINDS);
  const accel = kind as Accel;
  const [property] = properties;
  if (property === undefined) return { accel };
  const known = /^compile-thread=(on|off)$/.exec(property);
  if (known === null || accel !== 'jit' || properties.length > 1) {
    throw new ConfigError(
      '-accel',
      `'${properties.join(',')}' is not known`,
      'Write -accel jit,compile-thread=on or off.',
    );
  }
  return { accel, compileThread: known[1] === 'on' };
}

function parseMachine(value: string): Partial<Options> {
  const [board, ...properties] = value.split(',');
  only('-M', board ?? '', ['virt']);
  let aia: Aia = defaults.aia;
  for (const property of properties) {
    const known = AIA_KINDS.find((kind) => property === `aia=${kind}`);
    if (known === undefined) {
      throw new ConfigError('-M', `'${property}' is not known`, `Write -M virt,aia=${AIA_KINDS.join(' or ')}.`);
    }
    aia = known;
  }
  return { aia };
}

function parseRam(value: string): number {
  const bytes = parseSize(value.replace(/^size=/, ''));
  if (bytes === undefined) {
    throw new ConfigError('-m', `'${value}' is no size`, 'Write a number of MiB, or a suffix: -m 512M, -m 1G.');
  }
  if (bytes < RAM_MIN_BYTES || bytes > RAM_MAX_BYTES) {
    const range = `${formatSize(RAM_MIN_BYTES)} to ${formatSize(RAM_MAX_BYTES)}`;
    throw new ConfigError('-m', `${value} is out of range`, `Guest RAM may be ${range}.`);
  }
  return Math.ceil(bytes / pageBytes) * pageBytes;
}

/** QEMU's other words for -smp describe a topology of CPUs; this board has none but the number. */
function parseHarts(value: string): Partial<Options> {
  const harts = /^(cpus=)?\d+$/.test(value) ? Number(value.replace('cpus=', '')) : 0;
  if (harts >= 1 && harts <= HARTS_MAX) return { harts };
  throw new ConfigError('-smp', `'${value}' is no number of harts`, `Write a number from 1 to ${HARTS_MAX}: -smp 4.`);
}

function parseSeed(value: string): Partial<Options> {
  const seed = Number(value);
  if (/^\d+$/.test(value) && seed <= SEED_MAX) return { seed };
  throw new ConfigError('--seed', `'${value}' is no seed`, `Write a whole number from 0 to ${SEED_MAX}: --seed 1.`);
}

function parseLogItem(item: string): LogItem {
  const name = (Object.keys(logItems) as LogItem[]).find((known) => known === item);
  if (name !== undefined) return name;
  const meanings = Object.entries(logItems).map(([known, meaning]) => `${known} (${meaning})`);
  throw new ConfigError('-d', `cannot log '${item}'`, `Known items: ${meanings.join(', ')}.`);
}
