/** The Node of --node: ours runs with it as well, beside the Node that runs the benchmarks. */
import { execFileSync } from 'node:child_process';

export interface OtherNode {
  readonly path: string;
  /** `24.1.0`. */
  readonly version: string;
  /** Of a later major version than this process'. */
  readonly isNewer: boolean;
}

/** @throws Error where it is none */
export function otherNode(path: string, ownVersion = process.versions.node): OtherNode {
  let printed = '';
  try {
    printed = execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    throw new Error(`--node: ${path} does not run: ${error instanceof Error ? error.message : String(error)}`);
  }
  const [, version] = /^v(\d+\.\d+\.\d+)/.exec(printed) ?? [];
  if (version === undefined)
    throw new Error(`--node: ${path} is no Node: it prints ${JSON.stringify(printed.split('\n')[0])}`);
  return { path, version, isNewer: Number.parseInt(version, 10) > Number.parseInt(ownVersion, 10) };
}

/** What an emulator is called when that Node runs it. */
export function nameWith(emulator: string, { version }: OtherNode): string {
  return `${emulator}, Node ${version}`;
}
