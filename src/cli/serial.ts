/** Opens the back end that -serial names. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { ConfigError } from '../util/config-error.ts';
import type { CharBackend } from './char-backend.ts';
import type { SerialSpec } from './serial-spec.ts';
import { openStdio, type StdioOptions } from './terminal.ts';

/** A client that does not read may leave so many bytes unread; more are dropped. */
const maxUnreadBytes = 1 << 20;

/** @throws ConfigError when the host refuses the file or the socket; the signal's reason when aborted while waiting */
export async function openSerial(spec: SerialSpec, stdio: StdioOptions, signal: AbortSignal): Promise<CharBackend> {
  switch (spec.kind) {
    case 'stdio':
      return openStdio(stdio);
    case 'null':
      return { write: ignore, onInput: ignore, pause: ignore, resume: ignore, close: ignore };
    case 'file':
      return openFile(spec.path, stdio.messages);
    case 'unix':
      return spec.server ? listen(spec.path, spec.wait, signal) : connect(spec.path);
  }
}

function ignore(): void {}

function openFile(path: string, messages: StdioOptions['messages']): CharBackend {
  let file: number | undefined;
  try {
    file = openSync(path, 'w');
  } catch (error) {
    throw cannot(`cannot write '${path}'`, error, 'Name a file in a directory that exists and can be written.');
  }
  const close = (): void => {
    if (file !== undefined) closeSync(file);
    file = undefined;
  };
  return {
    write(bytes) {
      try {
        if (file !== undefined) writeAll(file, bytes);
      } catch (error) {
        messages.write(`bottomhalf: -serial: writing '${path}' failed, output is dropped: ${reasonOf(error)}\n`);
        close();
      }
    },
    onInput: ignore,
    pause: ignore,
    resume: ignore,
    close,
  };
}

function writeAll(file: number, bytes: Uint8Array): void {
  let offset = 0;
  while (offset < bytes.length) offset += writeSync(file, bytes, offset);
}

async function connect(path: string): Promise<CharBackend> {
  const socket = netConnect(path);
  await settled(socket, 'connect').catch((error: unknown) => {
    throw cannot(`cannot connect to '${path}'`, error, `Start the server first, or listen here: unix:${path},server`);
  });
  const port = createPort(() => socket.destroy());
  port.attach(socket);
  return port.backend;
}

/** One client at a time, as with QEMU; the next may come when it has gone. */
async function listen(path: string, wait: boolean, signal: AbortSignal): Promise<CharBackend> {
  await removeStaleSocket(path);
  const port = createPort(() => server.close());
  const server: Server = createServer((socket) => {
    if (!port.attach(socket)) socket.destroy();
  });
  server.listen(path);
  await settled(server, 'listening').catch((error: unknown) => {
    throw cannot(
      `cannot listen at '${path}'`,
      error,
      'Name a path in a directory that exists, at most 107 bytes long.',
    );
  });
  if (!wait) return port.backend;
  try {
    await settled(server, 'connection', signal);
  } catch (error) {
    port.backend.close();
    throw error;
  }
  return port.backend;
}

/** A socket that a killed process left behind is in the way of listening. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (found.isSocket()) return unlink(path);
  throw new ConfigError('-serial', `'${path}' exists and is no socket`, 'Name another path.');
}

interface Port {
  readonly backend: CharBackend;
  /** @returns false when somebody else is connected */
  attach(socket: Socket): boolean;
}

/** A console that a socket may be plugged into. Output without a client, and what it does not read, is dropped. */
function createPort(onClose: () => void): Port {
  let client: Socket | undefined;
  let listener: (bytes: Uint8Array) => void = ignore;
  let paused = false;
  return {
    attach(socket) {
      if (client !== undefined) return false;
      client = socket;
      socket.on('data', (bytes: Buffer) => listener(bytes));
      // 'close' follows.
      socket.on('error', ignore);
      socket.on('close', () => {
        client = undefined;
      });
      // Nothing is read before somebody listens.
      if (paused || listener === ignore) socket.pause();
      return true;
    },
    backend: {
      write(bytes) {
        if (client !== undefined && client.writableLength + bytes.length <= maxUnreadBytes) client.write(bytes);
      },
      onInput(next) {
        listener = next;
        if (!paused) client?.resume();
      },
      pause() {
        paused = true;
        client?.pause();
      },
      resume() {
        paused = false;
        client?.resume();
      },
      close() {
        client?.destroy();
        onClose();
      },
    },
  };
}

/** Resolves with the event, rejects with 'error' or when aborted. */
function settled(emitter: Socket | Server, event: string, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) reject(signal.reason);
    emitter.once('error', reject);
    emitter.once(event, () => {
      emitter.off('error', reject);
      resolve();
    });
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function cannot(what: string, error: unknown, remedy: string): ConfigError {
  return new ConfigError('-serial', `${what}: ${reasonOf(error)}`, remedy);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
