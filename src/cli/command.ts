/**
 * The command `bottomhalf`: options, images, console, machine, exit status. Status 0 when the guest powers off or the
 * user quits, the guest's own when it fails with one, 1 for an error, 128 and the number of a signal.
 */
import { constants } from 'node:os';
import { defaultGuest } from '../guest/default-guest.ts';
import { lineProgress } from '../guest/progress.ts';
import { loadImages } from './images.ts';
import { openLog, openSink } from './log.ts';
import { helpText, type Options, parseOptions } from './options.ts';
import { type Machine, type MachineOptions, machineOptions, runMachine } from './run.ts';
import { createSaving, saveOnSignal } from './saving.ts';
import { openSerial } from './serial.ts';
import { packageVersion } from './version.ts';

/** What the process lends to the command; tests lend their own. */
export interface Host {
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly createVm: (options: MachineOptions) => Promise<Machine>;
  /** Begins with what a machine needs before its images are read. */
  readonly prepareVm?: (options: { readonly harts: number }) => void;
}

/** Errors that say to the user what is wrong, and what to do. */
const TOLD: readonly string[] = ['ConfigError', 'SnapshotError'];
const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** @returns the exit status; errors are told on standard error */
export async function runCommand(args: readonly string[], host: Host): Promise<number> {
  const ending = listenForSignals();
  try {
    return await command(args, host, ending);
  } catch (error) {
    const status = ending.status();
    if (status !== undefined) return status;
    host.stderr.write(`bottomhalf: ${describe(error)}\n`);
    return 1;
  } finally {
    ending.close();
  }
}

async function command(args: readonly string[], host: Host, ending: Ending): Promise<number> {
  const options = parseOptions(args);
  if (options.help) host.stdout.write(helpText());
  if (options.version) host.stdout.write(`bottomhalf ${packageVersion()}\n`);
  if (options.help || options.version) return 0;
  if (isThreaded(options)) host.prepareVm?.(options);
  const images = await loadImages(options, () =>
    defaultGuest({ env: host.env, progress: lineProgress(host.stderr), signal: ending.signal }),
  );
  const log = openLog(options.logFile, host.stderr);
  const record = options.record === undefined ? undefined : openSink('--record', options.record, host.stderr);
  const machine = await host.createVm(machineOptions(options, images, record));
  const saving = createSaving(machine, options.save, host.stderr);
  const stdio = {
    input: host.stdin,
    output: host.stdout,
    messages: host.stderr,
    onQuit: () => ending.end(0),
    onSave: saving.ask,
  };
  const backend = await openSerial(options.serial, stdio, ending.signal).catch(async (error: unknown) => {
    await machine.stop();
    throw error;
  });
  const unlisten = options.save === undefined ? () => {} : saveOnSignal(saving.ask);
  try {
    return await runMachine(machine, { backend, log, quit: ending.ended });
  } finally {
    // Stopped meanwhile, it gives up and takes the half-written file away.
    await saving.settled();
    unlisten();
    backend.close();
    log.close();
    record?.close();
  }
}

/** Whether the machine will have threads. A saved one says itself how many. */
function isThreaded({ seed, record, replay, restore }: Options): boolean {
  return [seed, record, replay, restore].every((option) => option === undefined);
}

/** How the user ends the command before the guest does. */
interface Ending {
  readonly signal: AbortSignal;
  readonly ended: Promise<number>;
  /** The exit status, undefined as long as nobody has ended it. */
  status(): number | undefined;
  end(status: number): void;
  close(): void;
}

/** Signals become an orderly end: modes restored, half-done downloads removed. */
function listenForSignals(): Ending {
  const controller = new AbortController();
  let status: number | undefined;
  let resolve: (status: number) => void;
  const ended = new Promise<number>((settle) => {
    resolve = settle;
  });
  const end = (next: number): void => {
    status ??= next;
    controller.abort();
    resolve(status);
  };
  const onSignal = (name: NodeJS.Signals): void => end(128 + constants.signals[name]);
  for (const name of endingSignals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    ended,
    status: () => status,
    end,
    close() {
      for (const name of endingSignals) process.off(name, onSignal);
    },
  };
}

/** A wrong configuration in the user's words, our own faults with their stack. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!TOLD.includes(error.name)) return `${error.stack ?? error.message}${history(error)}`;
  const remedy = 'remedy' in error ? String(error.remedy) : '';
  return error.message.includes(remedy) ? error.message : `${error.message}\n  ${remedy}`;
}

/** Where a failure came through, and what its thread did last. */
function history(error: Error): string {
  const { where, last } = error as { readonly where?: unknown; readonly last?: unknown };
  const through = Array.isArray(where) && where.length > 0 ? `\n  in ${where.join(', ')}` : '';
  const before = Array.isArray(last) && last.length > 0 ? `\n  last of all:\n    ${last.join('\n    ')}` : '';
  return `${through}${before}`;
}
