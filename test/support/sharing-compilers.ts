/** Compilers of two harts of which one executes what was compiled for the other. */
import {
  type CompiledJob,
  type CompileJob,
  LocalCompiler,
  type RegionCompiler,
  type SharedJob,
} from '../../src/jit/compile.ts';

/** Keeps what it has compiled, for others. */
export class SharingCompiler extends LocalCompiler {
  readonly done: SharedJob[] = [];
  readonly #jobs: CompileJob[] = [];

  override submit(job: CompileJob): void {
    super.submit(job);
    this.#jobs.push(job);
  }

  override take(): CompiledJob | null {
    const done = super.take();
    const job = done === null ? undefined : this.#jobs.shift();
    // As they come out at the other end of a port, but for the module, whose copy would be another object.
    if (done !== null && job !== undefined) this.done.push({ job: structuredClone(job), done });
    return done;
  }
}

/** Compiles nothing, and has what was compiled for another. */
export class OfferingCompiler implements RegionCompiler {
  readonly #offers: SharedJob[];

  /** @param offers what was taken is taken out; more may come */
  constructor(offers: SharedJob[]) {
    this.#offers = offers;
  }

  submit(): void {}

  take(): null {
    return null;
  }

  takeShared(): SharedJob | null {
    return this.#offers.shift() ?? null;
  }
}
