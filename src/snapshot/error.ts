/** Why a frozen machine cannot be written, read or taken over. */

/**
 * - `host`: the file system refuses
 * - `not-a-snapshot`, `format-version`: another file, or one of a newer version of this program
 * - `incomplete`: the end is missing; `damaged`: what is there is not what was written
 * - `unknown-section`: a part that this version does not know and may not ignore
 * - `ram-size`: it was made of another amount of RAM
 * - `not-plain`, `too-large`: a state that cannot be written down: our own bug, or a device's of the caller
 * - `machine-state`: a machine that cannot be saved as it is now
 * - `unknown-actor`, `actor-version`, `actor-state`: for whoever takes the actors' states over
 */
export type SnapshotFault =
  | 'host'
  | 'not-a-snapshot'
  | 'format-version'
  | 'incomplete'
  | 'damaged'
  | 'unknown-section'
  | 'ram-size'
  | 'not-plain'
  | 'too-large'
  | 'machine-state'
  | 'unknown-actor'
  | 'actor-version'
  | 'actor-state';

export class SnapshotError extends Error {
  override readonly name = 'SnapshotError';
  readonly fault: SnapshotFault;
  /** The file or actor at fault, as the user would know it. */
  readonly where: string;
  /** What the user can do about it, a whole sentence. */
  readonly remedy: string;

  constructor(fault: SnapshotFault, where: string, problem: string, remedy: string) {
    super(`${where}: ${problem}`);
    this.fault = fault;
    this.where = where;
    this.remedy = remedy;
  }
}
