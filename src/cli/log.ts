/** Text files that the command writes: the log of `-d` to the file that `-D` names, or standard error; a recording. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { ConfigError } from '../util/config-error.ts';

export interface LogSink {
  write(text: string): void;
  close(): void;
}

interface Messages {
  write(text: string): unknown;
}

/** @throws ConfigError when the host does not let the file be written */
export function openLog(path: string | undefined, stderr: Messages): LogSink {
  if (path === undefined) return { write: (text) => void stderr.write(text), close: () => {} };
  return openSink('-D', path, stderr);
}

/** @param option that names the file; @throws ConfigError when the host does not let it be written */
export function openSink(option: string, path: string, stderr: Messages): LogSink {
  let file: number | null = openFile(option, path);
  const close = (): void => {
    if (file !== null) closeSync(file);
    file = null;
  };
  return {
    write(text) {
      try {
        if (file !== null) writeSync(file, text);
      } catch (error) {
        stderr.write(`bottomhalf: ${option}: writing '${path}' failed, the rest is dropped: ${String(error)}\n`);
        close();
      }
    },
    close,
  };
}

function openFile(option: string, path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    const remedy = 'Name a file in a directory that exists and can be written.';
    throw new ConfigError(option, `cannot write '${path}': ${String(error)}`, remedy);
  }
}
