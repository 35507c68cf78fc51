/** Where the log of `-d` goes: the file that `-D` names, or standard error. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { ConfigError } from '../util/config-error.ts';

export interface LogSink {
  write(text: string): void;
  close(): void;
}

/** @throws ConfigError when the host does not let the file be written */
export function openLog(path: string | undefined, stderr: { write(text: string): unknown }): LogSink {
  if (path === undefined) return { write: (text) => void stderr.write(text), close: () => {} };
  let file: number | null = openFile(path);
  const close = (): void => {
    if (file !== null) closeSync(file);
    file = null;
  };
  return {
    write(text) {
      try {
        if (file !== null) writeSync(file, text);
      } catch (error) {
        stderr.write(`bottomhalf: -D: writing '${path}' failed, the rest is dropped: ${String(error)}\n`);
        close();
      }
    },
    close,
  };
}

function openFile(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    const remedy = 'Name a file in a directory that exists and can be written.';
    throw new ConfigError('-D', `cannot write '${path}': ${String(error)}`, remedy);
  }
}
