/** Saving on demand: what Ctrl-A S and SIGUSR1 ask for, with progress on standard error. */
import { lineProgress, type ProgressOutput } from '../guest/progress.ts';

/** What saves itself. */
export interface Saveable {
  save(path: string, options: { readonly onProgress: (doneBytes: number, totalBytes: number) => void }): Promise<void>;
}

export interface Saving {
  /** Saves, unless that is under way; what comes of it is told. */
  ask(): void;
  /** @returns settles when nothing is under way any more */
  settled(): Promise<void>;
}

const SIGNAL = 'SIGUSR1';

/** @param path undefined where the user has named none: told when it is asked for */
export function createSaving(machine: Saveable, path: string | undefined, messages: ProgressOutput): Saving {
  let underWay: Promise<void> | null = null;
  const tell = (text: string): void => {
    // A terminal in raw mode does not return the carriage by itself.
    messages.write(`bottomhalf: ${text}${messages.isTTY === true ? '\r' : ''}\n`);
  };
  const save = async (file: string): Promise<void> => {
    const progress = lineProgress(messages);
    let begun = false;
    try {
      await machine.save(file, {
        onProgress(doneBytes, totalBytes) {
          if (!begun) progress.phase(`Saving to ${file}`, totalBytes);
          begun = true;
          progress.at(doneBytes);
        },
      });
      progress.done();
      tell(`saved to ${file}`);
    } catch (error) {
      progress.done();
      tell(`not saved: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      underWay = null;
    }
  };
  return {
    ask() {
      if (path === undefined) tell('there is no file to save to; begin with --save FILE');
      else underWay ??= save(path);
    },
    settled: async () => {
      await underWay;
    },
  };
}

/** Has SIGUSR1 ask. Without it Node.js would open its debugger. @returns ends that */
export function saveOnSignal(ask: () => void): () => void {
  process.on(SIGNAL, ask);
  return () => void process.off(SIGNAL, ask);
}
