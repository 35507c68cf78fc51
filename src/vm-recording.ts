/**
 * Recordings of deterministic runs. Everything in such a run follows from its configuration and seed, but for what came
 * from outside; that is what a recording has. It is text, a JSON object in each line:
 *
 *     {"recording":"bottomhalf","version":1,"seed":7,"guest":"<sha-256 of the machine's options and of what is loaded into RAM>"}
 *     {"step":0,"machine":"start"}                 also pause, resume, reset
 *     {"step":4711,"console":"<base64>"}           bytes typed to the guest
 *     {"step":9000,"end":{"log":"<16 digits>","instructions":[123,456]}}
 *
 * `step`: how many steps had been taken when it came; never less than in the line before. `end`, the last line, is
 * missing where the recording process was killed; a replay compares itself with it. Time and random numbers need no
 * lines: they follow from seed and steps. Not recorded: what a caller's own devices get from outside, writes to
 * `vm.memory`, and events sent to actors past the machine's methods.
 */
import { createHash } from 'node:crypto';
import type { BootSegment } from './boot/segment.ts';
import { ConfigError } from './util/config-error.ts';

const NAME = 'bottomhalf';
const VERSION = 1;
/** The largest seed; the smallest is 0. */
export const SEED_MAX: number = 2 ** 32 - 1;

const MACHINE_INPUTS = ['start', 'pause', 'resume', 'reset'] as const;
export type MachineInput = (typeof MACHINE_INPUTS)[number];

/** Something from outside. */
export type RunInput =
  | { readonly kind: 'machine'; readonly event: MachineInput }
  | { readonly kind: 'console'; readonly bytes: Uint8Array };

/** What a run had come to. */
export interface RunEnd {
  readonly log: string;
  /** Of each hart. */
  readonly instructions: readonly number[];
}

export type RecordedLine =
  | { readonly step: number; readonly input: RunInput }
  | { readonly step: number; readonly end: RunEnd };

export interface Recording {
  readonly seed: number;
  readonly guest: string;
  readonly lines: readonly RecordedLine[];
}

/** @param machine whatever of its configuration makes a difference; @returns tells one machine and its guest from others */
export function guestDigest(segments: readonly BootSegment[], machine: object): string {
  const hash = createHash('sha256').update(`${JSON.stringify(machine)}\n`);
  for (const { gpa, bytes } of segments) hash.update(`${gpa} ${bytes.length}\n`).update(bytes);
  return hash.digest('hex');
}

export function headerText(seed: number, guest: string): string {
  return line({ recording: NAME, version: VERSION, seed, guest });
}

export function inputText(step: number, input: RunInput): string {
  if (input.kind === 'machine') return line({ step, machine: input.event });
  return line({ step, console: Buffer.from(input.bytes).toString('base64') });
}

export function endText(step: number, end: RunEnd): string {
  return line({ step, end });
}

const line = (value: object): string => `${JSON.stringify(value)}\n`;

/** @throws ConfigError naming the line for what is no recording, or a damaged one */
export function parseRecording(text: string): Recording {
  const rows = text.split('\n').filter((row, at, all) => row !== '' || at < all.length - 1);
  const header = objectOf(rows[0] ?? '', 1);
  if (header['recording'] !== NAME) damaged(1, 'this is no recording');
  if (header['version'] !== VERSION) {
    const problem = `the recording has version ${String(header['version'])}, known is ${VERSION}`;
    throw new ConfigError('--replay', problem, 'Replay it with the version that made it.');
  }
  const { seed, guest } = header;
  if (!isCount(seed) || seed > SEED_MAX || typeof guest !== 'string') damaged(1, 'seed or guest is missing');
  const lines = rows.slice(1).map((row, at) => recordedLine(objectOf(row, at + 2), at + 2));
  for (const [at, { step }] of lines.entries()) {
    if (step < (lines[at - 1]?.step ?? 0)) damaged(at + 2, 'its step is before the one of the line above');
    if (at > 0 && 'end' in (lines[at - 1] ?? {})) damaged(at + 2, 'it comes behind the end');
  }
  return { seed, guest, lines };
}

function recordedLine(row: Readonly<Record<string, unknown>>, number: number): RecordedLine {
  const { step, machine, console: typed, end } = row;
  if (!isCount(step)) damaged(number, 'it has no step');
  const event = MACHINE_INPUTS.find((name) => name === machine);
  if (event !== undefined) return { step, input: { kind: 'machine', event } };
  if (typeof typed === 'string') return { step, input: { kind: 'console', bytes: bytesOf(typed, number) } };
  if (isEnd(end)) return { step, end };
  return damaged(number, 'it says nothing that is known');
}

function bytesOf(base64: string, number: number): Uint8Array {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64') !== base64) damaged(number, 'its bytes are no base64');
  return new Uint8Array(bytes);
}

function isEnd(value: unknown): value is RunEnd {
  if (typeof value !== 'object' || value === null) return false;
  const { log, instructions } = value as Partial<Record<keyof RunEnd, unknown>>;
  return typeof log === 'string' && Array.isArray(instructions) && instructions.every(isCount);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function objectOf(row: string, number: number): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(row);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  return damaged(number, 'it is no JSON object');
}

function damaged(number: number, problem: string): never {
  throw new ConfigError('--replay', `line ${number} is damaged: ${problem}`, 'Record it again.');
}
