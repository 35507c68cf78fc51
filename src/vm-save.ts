/**
 * Saving a machine that lives. One with threads is paused for it, and goes on afterwards if it ran; what its user wants
 * of it meanwhile waits. A deterministic one is written down between two of its steps, where nothing is under way, and
 * knows nothing of it.
 */
import type { VirtBoard } from '../actors/board/virt.ts';
import type { SavedPart } from '../actors/board/virt-persist.ts';
import type { RunState } from '../machines/machine.ts';
import { SnapshotError } from './snapshot/error.ts';
import { writeSnapshotFile } from './snapshot/file.ts';
import type { VmConsole } from './vm-console.ts';
import type { DeterministicRun } from './vm-deterministic.ts';
import type { MachineInput } from './vm-recording.ts';
import { actorsOf, savedFunction } from './vm-snapshot.ts';
import { headerOf, type SavedVm } from './vm-snapshot-header.ts';

export interface SaveOptions {
  /** Gives up; a file that was there is still there. */
  readonly signal?: AbortSignal;
  /** @param doneBytes of guest RAM, of `totalBytes` */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** What does not change while a machine lives. */
export type SavedMakeup = Pick<SavedVm, 'harts' | 'aia' | 'bios' | 'plan' | 'rootPorts' | 'devices'>;

export interface SaverParts {
  readonly board: VirtBoard;
  readonly console: VmConsole;
  readonly run: DeterministicRun | null;
  readonly makeup: SavedMakeup;
  readonly ram: Uint8Array;
  state(): RunState;
  /** Whether it runs, and is meant to go on running. */
  runs(): boolean;
  /** What the user wants, now. */
  tell(event: MachineInput): void;
  /** Settles when the machine stands. */
  pause(): Promise<void>;
}

export class VmSaver {
  readonly #parts: SaverParts;
  /** What was asked for while the machine was being saved; null while it is not. */
  #waiting: (() => void)[] | null = null;
  #stop: AbortController | null = null;

  constructor(parts: SaverParts) {
    this.#parts = parts;
  }

  /** A machine stands, and changes in nothing, as long as this is so. */
  get saving(): boolean {
    return this.#waiting !== null;
  }

  /** @returns whether the wish is kept for later, when the machine has been saved */
  keep(wish: () => void): boolean {
    this.#waiting?.push(wish);
    return this.#waiting !== null;
  }

  /** The machine is stopped. */
  close(): void {
    this.#stop?.abort(new Error('the machine was stopped'));
  }

  /** @throws SnapshotError; whatever `signal` was aborted with */
  async save(path: string, { signal, onProgress }: SaveOptions): Promise<void> {
    this.#check(path);
    const stop = new AbortController();
    this.#stop = stop;
    this.#waiting = [];
    const abort = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    try {
      abort.throwIfAborted();
      if (this.#parts.run !== null) await this.#saveBetweenSteps(path, this.#parts.run, abort, onProgress);
      else await this.#saveStanding(path, abort, onProgress);
    } finally {
      this.#stop = null;
      const waiting = this.#waiting;
      this.#waiting = null;
      for (const wish of waiting) wish();
    }
  }

  #check(path: string): void {
    const state = this.#parts.state();
    if (this.#waiting !== null) throw refused(path, 'the machine is being saved already', 'Wait for that.');
    if (state === 'prelaunch') throw refused(path, 'the machine has not begun', 'Start it first.');
    if (state === 'running' || state === 'stopping' || state === 'resetting' || state === 'paused') return;
    throw refused(path, `the machine has ended (${state})`, 'Save it while it lives.');
  }

  async #saveStanding(path: string, abort: AbortSignal, onProgress: SaveOptions['onProgress']): Promise<void> {
    const { board } = this.#parts;
    const runs = this.#parts.runs();
    await this.#parts.pause();
    try {
      if (this.#parts.state() !== 'paused')
        throw refused(path, 'the machine ended meanwhile', 'Save it while it lives.');
      const parts = await new Promise<SavedPart[] | null>((resolve, reject) => {
        abort.addEventListener('abort', () => reject(abort.reason), { once: true });
        board.save(resolve);
      });
      await this.#write(path, parts, runs, abort, onProgress);
    } finally {
      if (runs) this.#waiting?.unshift(() => this.#parts.tell('resume'));
    }
  }

  async #saveBetweenSteps(
    path: string,
    run: DeterministicRun,
    abort: AbortSignal,
    onProgress: SaveOptions['onProgress'],
  ): Promise<void> {
    try {
      const isAtRest = await run.freeze();
      const state = this.#parts.state();
      if (state !== 'running' && state !== 'paused')
        throw refused(path, 'the machine ended meanwhile', 'Save it earlier.');
      await this.#write(path, isAtRest ? this.#parts.board.saveNow() : null, state === 'running', abort, onProgress);
    } finally {
      run.unfreeze();
    }
  }

  async #write(
    path: string,
    parts: SavedPart[] | null,
    runs: boolean,
    abort: AbortSignal,
    onProgress: SaveOptions['onProgress'],
  ): Promise<void> {
    if (parts === null) throw refused(path, 'what is under way between its threads never ends', 'Save it later.');
    const { board, makeup, ram, run } = this.#parts;
    const { timeNs, functions } = board.describe();
    const machine = headerOf({
      ...makeup,
      timeNs,
      runs,
      pci: functions.map(savedFunction),
      run: run?.save() ?? null,
    });
    const actors = actorsOf(parts, this.#parts.console.unsent());
    await writeSnapshotFile(path, { machine, actors, ram }, (doneBytes, totalBytes) => {
      onProgress?.(doneBytes, totalBytes);
      abort.throwIfAborted();
    });
  }
}

function refused(path: string, problem: string, remedy: string): SnapshotError {
  return new SnapshotError('machine-state', path, problem, remedy);
}
