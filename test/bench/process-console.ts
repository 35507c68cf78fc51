/** A guest behind a process' standard input and output: ours and QEMU's alike. */
import { type ChildProcess, spawn } from 'node:child_process';
import { CLI } from './host.ts';
import type { LinuxFiles } from './results.ts';

/** What a machine has that is not the same in all benchmarks. */
export interface MachineOptions {
  /** As -m takes it; 512M when left out. */
  readonly memory?: string;
  /** 1 when left out. */
  readonly harts?: number;
  /** Further options, as both take them. */
  readonly extra?: readonly string[];
}

export interface Emulator {
  readonly name: string;
  /** @returns program and arguments for a guest with its console on stdio */
  command(files: LinuxFiles, machine?: MachineOptions): readonly [string, ...string[]];
}

function common({ kernel, initrd, append }: LinuxFiles, machine: MachineOptions, accel: string | undefined): string[] {
  const { memory = '512M', harts = 1, extra = [] } = machine;
  return [
    ...['-M', 'virt', '-m', memory, '-smp', String(harts), '-kernel', kernel, '-initrd', initrd, '-append', append],
    ...['-serial', 'stdio', ...(accel === undefined ? [] : ['-accel', accel]), ...extra],
  ];
}

/** As `npm start` has it: V8's compiler on as many threads as there are cores beside the main one. */
export const NODE_FLAGS: readonly string[] = ['--v8-pool-size=0'];

/** @param node the program that runs it; the one that runs this when left out */
export function ours(name: string, accel?: string, node: string = process.execPath): Emulator {
  return { name, command: (files, machine = {}) => [node, ...NODE_FLAGS, CLI, ...common(files, machine, accel)] };
}

export const OURS: Emulator = ours('bottomhalf');

/** The host's own. */
export const QEMU = { name: 'QEMU', program: 'qemu-system-riscv64' } as const;

/** @param program a qemu-system-riscv64, or such a command with its first arguments */
export function qemu(name: string, program: string | readonly string[], accel?: string): Emulator {
  const [command = '', ...first] = typeof program === 'string' ? [program] : program;
  return {
    name,
    command: (files, machine = {}) => [
      command,
      ...[...first, ...common(files, machine, accel), '-display', 'none', '-monitor', 'none'],
    ],
  };
}

/** Output that is looked at again when more comes; no text that expect() is asked for is longer. */
const TEXT_MAX_CHARS = 64;

interface Waiter {
  readonly text: string;
  found(before: string): void;
  failed(what: string): void;
}

/** Output is kept, in the pieces it came in, until somebody has waited for it: joining them all at each is quadratic. */
export class ProcessConsole {
  readonly #child: ChildProcess;
  readonly #startedMs = performance.now();
  #pieces: string[] = [];
  #tail = '';
  #errors = '';
  #waiter: Waiter | null = null;
  /** It may end while nobody waits. */
  #ended: string | null = null;

  constructor([program, ...args]: readonly [string, ...string[]]) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdout?.setEncoding('latin1').on('data', (text: string) => this.#receive(text));
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      this.#errors += bytes.toString();
    });
    // Killed in the middle of a write: nobody reads any more.
    this.#child.stdin?.on('error', () => {});
    this.#child.on('error', (error) => this.#end(error.message));
    this.#child.on('exit', (code) => this.#end(`the process ended with ${code}`));
    // Whatever ends us: nobody else would end it.
    const kill = (): void => void this.#child.kill('SIGKILL');
    process.once('exit', kill);
    this.#child.once('exit', () => process.off('exit', kill));
  }

  #end(how: string): void {
    this.#ended = how;
    this.#waiter?.failed(how);
  }

  /** Undefined where the program could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  write(text: string): void {
    this.#child.stdin?.write(text, 'latin1');
  }

  /**
   * Waits for text, and consumes the output up to its end.
   * @returns the output before it, and when the text had come, in ms since the process was started
   */
  expect(text: string, timeoutMs: number): Promise<{ before: string; atMs: number }> {
    return new Promise((resolve, reject) => {
      const timeout = setTimeout(() => this.#waiter?.failed(`${timeoutMs} ms have passed`), timeoutMs);
      const done = (): void => {
        clearTimeout(timeout);
        this.#waiter = null;
      };
      this.#waiter = {
        text,
        found: (before) => {
          done();
          resolve({ before, atMs: performance.now() - this.#startedMs });
        },
        failed: (what) => {
          done();
          reject(new Error(`${what} before "${text}": ${JSON.stringify(this.#tail)} ${this.#errors}`));
        },
      };
      // What is there already counts as having come just now.
      this.#tail = '';
      this.#receive(this.#pieces.splice(0).join(''));
      if (this.#ended !== null) this.#waiter?.failed(this.#ended);
    });
  }

  #receive(text: string): void {
    const recent = this.#tail + text;
    this.#pieces.push(text);
    this.#tail = recent.slice(-TEXT_MAX_CHARS);
    if (this.#waiter === null || !recent.includes(this.#waiter.text)) return;
    const all = this.#pieces.join('');
    const at = all.indexOf(this.#waiter.text);
    const rest = all.slice(at + this.#waiter.text.length);
    this.#pieces = [rest];
    this.#tail = rest.slice(-TEXT_MAX_CHARS);
    this.#waiter.found(all.slice(0, at));
  }

  /** Ends the process at once. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.pid === undefined) return resolve();
      this.#child.once('exit', () => resolve());
      this.#child.kill('SIGKILL');
    });
  }
}
