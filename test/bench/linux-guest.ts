/**
 * Programs in the default guest: an initrd that has them as well, the cross compiler that makes them, and a guest that
 * runs commands at its prompt under any of the emulators.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CpioEntry, cpio } from '../../src/guest/cpio.ts';
import { Unavailable } from './host.ts';
import { type Emulator, type MachineOptions, ProcessConsole } from './process-console.ts';
import { type LinuxFiles, PROMPT } from './results.ts';

const CROSS_COMPILER = 'riscv64-linux-gnu-gcc';
const CROSS_PACKAGES = 'gcc-riscv64-linux-gnu libc6-dev-riscv64-cross';
const HOST_COMPILER = 'gcc';
const BOOT_TIMEOUT_MS = 180_000;
/** The kernel looks for an archive at multiples of it (buffer-format.rst). */
const ARCHIVE_ALIGNMENT_BYTES = 4;

/**
 * The guest with more files: the kernel unpacks archives that follow one another, a later one over an earlier.
 * @param initrd where the new initrd is written
 */
export function withFiles(files: LinuxFiles, entries: readonly CpioEntry[], initrd: string): LinuxFiles {
  const first = readFileSync(files.initrd);
  const padding = Buffer.alloc(-first.length & (ARCHIVE_ALIGNMENT_BYTES - 1));
  writeFileSync(initrd, Buffer.concat([first, padding, cpio(entries)]));
  return { ...files, initrd };
}

/**
 * Compiles a static program for the guest, -O2.
 * @param sources paths of C files
 * @param flags further ones
 * @returns an ELF
 * @throws Unavailable where there is no compiler; Error with the compiler's messages
 */
export function compileForGuest(sources: readonly string[], flags: readonly string[] = []): Uint8Array {
  return compile(CROSS_COMPILER, CROSS_PACKAGES, ['-static', ...flags, ...sources]);
}

/** The same for the host. */
export function compileForHost(sources: readonly string[], flags: readonly string[] = []): Uint8Array {
  return compile(HOST_COMPILER, HOST_COMPILER, [...flags, ...sources]);
}

function compile(compiler: string, packages: string, args: readonly string[]): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'bottomhalf-bench-'));
  const output = join(directory, 'program');
  try {
    // Libraries come behind the sources that want them.
    const all = ['-O2', '-o', output, ...args, '-lm', '-pthread'];
    execFileSync(compiler, all, { stdio: ['ignore', 'ignore', 'pipe'] });
    return readFileSync(output);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Unavailable(`needs ${compiler}: apt install ${packages}`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The default guest at its prompt, in a process of its own. */
export class LinuxGuest {
  readonly #console: ProcessConsole;
  #commands = 0;
  /** Process start to the prompt. */
  readonly promptMs: number;

  private constructor(console: ProcessConsole, promptMs: number) {
    this.#console = console;
    this.promptMs = promptMs;
  }

  /** @throws Error when the process ends or no prompt comes */
  static async boot(emulator: Emulator, files: LinuxFiles, machine: MachineOptions = {}): Promise<LinuxGuest> {
    const console = new ProcessConsole(emulator.command(files, machine));
    try {
      const { atMs } = await console.expect(PROMPT, BOOT_TIMEOUT_MS);
      const guest = new LinuxGuest(console, atMs);
      // The kernel's messages would stand among the output of the commands.
      await guest.run('dmesg -n 1', BOOT_TIMEOUT_MS);
      return guest;
    } catch (error) {
      await console.close();
      throw new Error(`${emulator.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /**
   * Runs a command of one line; one at a time.
   * @returns what it printed, with plain line feeds
   * @throws Error when it ends with another status than 0, or not in time
   */
  async run(command: string, timeoutMs: number): Promise<string> {
    const count = ++this.#commands;
    // The shell joins what the quotes part: so the echo of the command does not look like its output.
    this.#console.write(`echo BE''GIN${count}.; ${command}; echo EN''D${count}.$?.\n`);
    await this.#console.expect(`BEGIN${count}.\r\n`, timeoutMs);
    const { before } = await this.#console.expect(`END${count}.`, timeoutMs);
    const { before: status } = await this.#console.expect('.', timeoutMs);
    const text = before.replaceAll('\r\n', '\n');
    if (status !== '0') throw new Error(`${command}: status ${status}: ${text}`);
    return text;
  }

  /** Ends the process at once. */
  close(): Promise<void> {
    return this.#console.close();
  }
}
