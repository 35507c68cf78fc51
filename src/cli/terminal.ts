/**
 * Standard input and output as a console. On a terminal the keys go to the guest one by one (raw mode) except those
 * behind Ctrl-A; the modes are restored however the process ends, short of SIGKILL. A pipe or file passes unchanged, and its end is
 * the end of the input only.
 */
import type { ReadStream } from 'node:tty';
import type { CharBackend } from './char-backend.ts';
import { createEscapeKeys, escapeHelp } from './escape-keys.ts';

export interface StdioOptions {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** Where the keys' help goes. */
  readonly messages: { write(text: string): unknown };
  /** Ctrl-A X, or nobody reads the output any more. */
  readonly onQuit: () => void;
  /** Ctrl-A S; without it the key does nothing. */
  readonly onSave?: () => void;
}

export function openStdio({ input, output, messages, onQuit, onSave }: StdioOptions): CharBackend {
  const restore = input.isTTY ? enterRawMode(input) : () => undefined;
  const keys = createEscapeKeys((action) => {
    if (action === 'quit') onQuit();
    else if (action === 'save') onSave?.();
    else messages.write(escapeHelp);
  });
  // A reader that went away (EPIPE) is no reason to crash; an input that fails has ended.
  output.on('error', onQuit);
  input.on('error', () => undefined);
  return {
    write: (bytes) => void output.write(bytes),
    onInput(listener) {
      input.on('data', (bytes: Buffer) => {
        const forwarded = input.isTTY ? keys(bytes) : bytes;
        if (forwarded.length > 0) listener(forwarded);
      });
    },
    pause: () => void input.pause(),
    resume: () => void input.resume(),
    close() {
      restore();
      input.pause();
    },
  };
}

/** @returns a function that restores the modes */
function enterRawMode(input: ReadStream): () => void {
  const raw = (): void => void input.setRawMode(true);
  const restore = (): void => {
    process.off('exit', restore);
    process.off('SIGCONT', raw);
    // The terminal itself may be gone, after SIGHUP.
    if (!input.destroyed) input.setRawMode(false);
  };
  raw();
  // Also emitted for an uncaught exception; signals that end the process are turned into an exit by the caller.
  process.on('exit', restore);
  // Whoever stopped us had the terminal in the meantime.
  process.on('SIGCONT', raw);
  return restore;
}
