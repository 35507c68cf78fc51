/**
 * The user asked for something that cannot be: a file that is missing, an option that makes no sense. Thrown before any
 * vCPU starts; the command line prints path, message and remedy, nothing else.
 */
export class ConfigError extends Error {
  /** The option or configuration key at fault, as the user would spell it: `-kernel`, `memory.lengthBytes`. */
  readonly path: string;
  /** What the user can do about it, a whole sentence. */
  readonly remedy: string;

  constructor(path: string, message: string, remedy: string) {
    super(`${path}: ${message}`);
    this.name = 'ConfigError';
    this.path = path;
    this.remedy = remedy;
  }
}
