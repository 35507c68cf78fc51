import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CharBackend, connectConsole, type GuestConsole } from '../../src/cli/char-backend.ts';
import { createEscapeKeys, type EscapeAction } from '../../src/cli/escape-keys.ts';
import { openSerial } from '../../src/cli/serial.ts';
import { parseSerial } from '../../src/cli/serial-spec.ts';
import { openStdio, type StdioOptions } from '../../src/cli/terminal.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const never = new AbortController().signal;

/** A console that takes a few bytes at a time and makes room on demand, as a UART does. */
function slowConsole(roomBytes: number) {
  const got: string[] = [];
  let room = roomBytes;
  let refused = false;
  let onRoom: () => void = () => undefined;
  const subscribers = new Set<(bytes: Uint8Array) => void>();
  const guest: GuestConsole = {
    write(bytes) {
      const taken = Math.min(room, bytes.length);
      room -= taken;
      refused ||= taken < bytes.length;
      got.push(text(bytes.subarray(0, taken)));
      return taken;
    },
    onRoom: (listener) => {
      onRoom = listener;
    },
    output: {
      subscribe(next) {
        subscribers.add(next);
        return { unsubscribe: () => void subscribers.delete(next) };
      },
    },
  };
  return {
    guest,
    received: () => got.join(''),
    drain() {
      room = roomBytes;
      if (refused) {
        refused = false;
        onRoom();
      }
    },
    send: (value: string) => {
      for (const next of subscribers) next(Buffer.from(value));
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Standard streams that are pipes, or, with setRawMode, a terminal. */
function fakeStdio(isTTY = false) {
  const modes: boolean[] = [];
  const input = Object.assign(new PassThrough(), { isTTY, setRawMode: (raw: boolean) => modes.push(raw) });
  const output = new PassThrough();
  const messages: string[] = [];
  let quits = 0;
  const options = {
    input: input as unknown as StdioOptions['input'],
    output: output as unknown as StdioOptions['output'],
    messages: { write: (message: string) => messages.push(message) },
    onQuit: () => {
      quits++;
    },
  } satisfies StdioOptions;
  return { options, input, output, modes, messages, quits: () => quits };
}

describe('escape keys', () => {
  function run(...pieces: string[]): { forwarded: string; actions: EscapeAction[] } {
    const actions: EscapeAction[] = [];
    const keys = createEscapeKeys((action) => actions.push(action));
    return { forwarded: pieces.map((piece) => text(keys(Buffer.from(piece, 'latin1')))).join(''), actions };
  }

  it('pass everything else on', () => expect(run('ls\r\x03\xff')).toEqual({ forwarded: 'ls\r\x03\xff', actions: [] }));
  it('quit', () => expect(run('a\x01xb')).toEqual({ forwarded: 'ab', actions: ['quit'] }));
  it('work across pieces', () => expect(run('\x01', 'X')).toEqual({ forwarded: '', actions: ['quit'] }));
  it('save', () => expect(run('a\x01sb')).toEqual({ forwarded: 'ab', actions: ['save'] }));
  it('show help', () => expect(run('\x01h\x01?')).toEqual({ forwarded: '', actions: ['help', 'help'] }));
  it('send Ctrl-A itself', () => expect(run('\x01a\x01\x01')).toEqual({ forwarded: '\x01\x01', actions: [] }));
  it('swallow what is not a key', () => expect(run('\x01qz')).toEqual({ forwarded: 'z', actions: [] }));
});

describe('a console on standard streams', () => {
  it('loses nothing of piped input, however slow the guest is', async () => {
    const { options, input } = fakeStdio();
    const console = slowConsole(7);
    connectConsole(openStdio(options), console.guest);
    const sent = Array.from({ length: 500 }, (_, index) => `line ${index}\x01x\n`).join('');
    input.end(sent);
    await until(() => {
      console.drain();
      return console.received().length === sent.length;
    });
    expect(console.received()).toBe(sent);
  });

  it('goes on after the end of its input', async () => {
    const { options, input, output, quits } = fakeStdio();
    const console = slowConsole(10);
    connectConsole(openStdio(options), console.guest);
    input.end('x');
    await until(() => console.received() === 'x');
    console.send('still here');
    expect(String(output.read())).toBe('still here');
    expect(quits()).toBe(0);
  });

  it('puts a terminal into raw mode and back', async () => {
    const { options, input, modes, messages, quits } = fakeStdio(true);
    const exitListeners = process.listenerCount('exit');
    const backend = openStdio(options);
    const console = slowConsole(10);
    connectConsole(backend, console.guest);
    input.write('\x03\x01h\x01x');
    await until(() => quits() === 1);
    expect(console.received()).toBe('\x03');
    expect(messages.join('')).toContain('Ctrl-A X');
    backend.close();
    backend.close();
    expect(modes[0]).toBe(true);
    expect(modes.at(-1)).toBe(false);
    expect(process.listenerCount('exit')).toBe(exitListeners);
  });

  it('ends when nobody reads its output any more', () => {
    const { options, output, quits } = fakeStdio();
    openStdio(options);
    output.emit('error', new Error('EPIPE'));
    expect(quits()).toBe(1);
  });
});

describe('serial back ends', () => {
  let directory: string;
  const opened: CharBackend[] = [];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bottomhalf-serial-'));
  });
  afterEach(async () => {
    for (const backend of opened.splice(0)) backend.close();
    await rm(directory, { recursive: true });
  });
  const open = async (spec: string, signal = never): Promise<CharBackend> => {
    const backend = await openSerial(parseSerial(spec), fakeStdio().options, signal);
    opened.push(backend);
    return backend;
  };

  it('null takes everything', async () => {
    (await open('null')).write(Buffer.from('gone'));
  });

  it('file: holds what the guest sent', async () => {
    const path = join(directory, 'log');
    const backend = await open(`file:${path}`);
    backend.write(Buffer.from('one'));
    backend.write(Buffer.from(' two'));
    expect(await readFile(path, 'utf8')).toBe('one two');
    backend.close();
    backend.write(Buffer.from('late'));
  });

  it('file: in no directory is a ConfigError', async () => {
    await expect(open(`file:${directory}/none/log`)).rejects.toMatchObject({ name: 'ConfigError', path: '-serial' });
  });

  it('unix: serves one client after the other', async () => {
    const path = join(directory, 'socket');
    const backend = await open(`unix:${path},server,nowait`);
    const console = slowConsole(100);
    connectConsole(backend, console.guest);
    console.send('nobody listens');
    for (const word of ['first', 'second']) {
      const client = connect(path);
      const got: string[] = [];
      client.on('data', (bytes) => got.push(String(bytes)));
      client.write(word);
      await until(() => console.received().endsWith(word));
      console.send(`hello ${word}`);
      await until(() => got.join('') === `hello ${word}`);
      await new Promise((resolve) => client.once('close', resolve).end());
      // The server hears of it a turn later.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(console.received()).toBe('firstsecond');
  });

  it('unix: waits for a client when told to, and gives up when told to', async () => {
    const path = join(directory, 'socket');
    let ready = false;
    const opening = open(`unix:${path},server`).then((backend) => {
      ready = true;
      return backend;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(ready).toBe(false);
    const client = await new Promise<ReturnType<typeof connect>>((resolve) => {
      const attempt = (): void => {
        const socket = connect(path);
        socket.once('connect', () => resolve(socket)).once('error', () => setImmediate(attempt));
      };
      attempt();
    });
    client.write('early');
    const console = slowConsole(100);
    connectConsole(await opening, console.guest);
    await until(() => console.received() === 'early');
    client.destroy();
    const controller = new AbortController();
    const waiting = open(`unix:${join(directory, 'other')},server`, controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });

  it('unix: connects to a server, and says so when there is none', async () => {
    const path = join(directory, 'socket');
    await expect(open(`unix:${path}`)).rejects.toMatchObject({
      path: '-serial',
      remedy: expect.stringContaining('server'),
    });
    const server = createServer((socket) => socket.end('from the server')).listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    const console = slowConsole(100);
    connectConsole(await open(`unix:${path}`), console.guest);
    await until(() => console.received() === 'from the server');
    server.close();
  });

  it('unix: leaves files that are no sockets alone', async () => {
    const path = join(directory, 'precious');
    await writeFile(path, 'data');
    await expect(open(`unix:${path},server`)).rejects.toMatchObject({ name: 'ConfigError' });
    expect(await readFile(path, 'utf8')).toBe('data');
  });
});
