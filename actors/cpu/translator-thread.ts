/**
 * The thread that compiles translated code for all vCPUs of a machine: they go on interpreting meanwhile. It has no state
 * but the work under way, and nobody waits for it.
 */
import { ServiceClient, serve } from '../../src/channel/service.ts';
import type { Thread } from '../../src/channel/threads.ts';
import {
  type CompiledJob,
  type CompileJob,
  compileJob,
  type RegionCompiler,
  type SharedJob,
} from '../../src/jit/compile.ts';
import { TRANSLATOR_THREAD } from './names.ts';

/** The worker's main function. */
export function translatorMain(_parameters: unknown, thread: Thread): void {
  serve<CompileJob, CompiledJob, SharedJob>(thread, compileJob, (job, done) => ({ job, done }));
}

/** @returns undefined where the machine has no such thread */
export function remoteCompiler(thread: Thread): RegionCompiler | undefined {
  const client = ServiceClient.of<CompileJob, CompiledJob, SharedJob>(thread, TRANSLATOR_THREAD);
  if (client === null) return undefined;
  return {
    submit: (job) => client.request(job),
    take: () => client.take(),
    takeShared: () => client.takeNews(),
  };
}
