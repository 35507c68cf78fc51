/**
 * Progress of long steps on standard error: one line that is rewritten on a terminal, a line now and then elsewhere.
 */

export interface Progress {
  /** A new step; `totalBytes` when it is known how much there is to do. */
  phase(title: string, totalBytes?: number): void;
  /** So many bytes more are done. */
  add(bytes: number): void;
  /** So many bytes are done in this step. */
  at(bytes: number): void;
  /** The last step is over; the line is left clean. */
  done(): void;
}

/** For tests and callers that show nothing. */
export const silentProgress: Progress = {
  phase: () => undefined,
  add: () => undefined,
  at: () => undefined,
  done: () => undefined,
};

export interface ProgressOutput {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const terminalIntervalMs = 100;
const otherIntervalMs = 5000;
const clearLine = '\r\x1b[K';

/** @param nowMs the host's clock in milliseconds */
export function lineProgress(output: ProgressOutput, nowMs: () => number = () => performance.now()): Progress {
  const terminal = output.isTTY === true;
  let title = '';
  let total: number | undefined;
  let doneBytes = 0;
  let shownMs = 0;
  const show = (): void => {
    shownMs = nowMs();
    const amount =
      doneBytes === 0 ? '' : ` ${megabytes(doneBytes)}${total === undefined ? '' : ` of ${megabytes(total)}`} MB`;
    output.write(terminal ? `${clearLine}${title}${amount}` : `${title}${amount}\n`);
  };
  const at = (bytes: number): void => {
    doneBytes = bytes;
    if (nowMs() - shownMs >= (terminal ? terminalIntervalMs : otherIntervalMs)) show();
  };
  return {
    phase(nextTitle, totalBytes) {
      [title, total, doneBytes] = [nextTitle, totalBytes, 0];
      show();
    },
    add: (bytes) => at(doneBytes + bytes),
    at,
    done() {
      if (terminal) output.write(clearLine);
    },
  };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
