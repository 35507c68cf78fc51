/**
 * The errors that cross module boundaries, and the plain record in which an error crosses a thread.
 *
 * Guest misbehaviour is never an error of the host: it does not appear here.
 */

/** An error as data: what structured clone, a ring and a snapshot can carry. */
export interface ErrorRecord {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  /** The threads and actors it came through, the outermost first. */
  readonly where?: readonly string[];
  /** What the loop of the failing thread did last, the oldest first, as trail.ts tells it. */
  readonly last?: readonly string[];
  /** What the user can do about it, when it is a ConfigError. */
  readonly remedy?: string;
}

/** Our own bug: a condition that the code relies on does not hold. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** @throws AssertionError when the condition does not hold; for our own bugs only, never for what a guest controls */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Anything that was thrown, as data. @param place put in front of where it came through */
export function toErrorRecord(thrown: unknown, place?: string): ErrorRecord {
  const own = place === undefined ? [] : [place];
  if (!isErrorLike(thrown)) return { name: 'Error', message: String(thrown), ...(own.length > 0 && { where: own }) };
  const where = [...own, ...(Array.isArray(thrown.where) ? thrown.where : [])];
  return {
    name: thrown.name,
    message: thrown.message,
    ...(thrown.stack !== undefined && { stack: thrown.stack }),
    ...(where.length > 0 && { where }),
    ...(Array.isArray(thrown.last) && { last: thrown.last }),
    ...(typeof thrown.remedy === 'string' && { remedy: thrown.remedy }),
  };
}

/** An error that keeps the name, message and stack of the record it was made from. */
export class RemoteError extends Error {
  readonly where: readonly string[];
  declare readonly last?: readonly string[];
  readonly remedy: string | undefined;

  constructor(record: ErrorRecord) {
    super(record.message);
    this.name = record.name;
    this.where = record.where ?? [];
    this.remedy = record.remedy;
    if (record.stack !== undefined) this.stack = record.stack;
    // Absent where nobody has told: the next thread it comes through may.
    if (record.last !== undefined) Object.defineProperty(this, 'last', { value: record.last, configurable: true });
  }
}

function isErrorLike(value: unknown): value is ErrorRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { name, message } = value as { name?: unknown; message?: unknown };
  return typeof name === 'string' && typeof message === 'string';
}
