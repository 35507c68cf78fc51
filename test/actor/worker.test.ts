/** Real worker threads: how they end, and an actor that lives on one. */
import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  ActorGateway,
  assign,
  createActor,
  Inspection,
  type InspectionEvent,
  Link,
  setup,
  spawnWorker,
  type WorkerHandle,
  workerEntry,
} from '../../src/actor/index.ts';
import { prepareWorkers, workerExecArgv } from '../../src/actor/worker.ts';
import { Thread, wireThreads } from '../../src/channel/threads.ts';
import { attachThread, EventLoop, HostClock, type LoopDriver, runInLibuv } from '../../src/loop/index.ts';
import type { ErrorRecord } from '../../src/util/errors.ts';

const WORKERS = new URL('./test-workers.js', import.meta.url).href;
const nameOf = (index: number): string => `worker${index}`;

let cleanUp: (() => Promise<void>) | null = null;

afterEach(async () => {
  await cleanUp?.();
  cleanUp = null;
});

function start(exportName: string, module = WORKERS) {
  const wiring = wireThreads([
    { name: 'main', kind: 'libuv' },
    { name: 'worker0', kind: 'parking' },
  ]);
  const loop = new EventLoop({ name: 'main', clock: HostClock.running(), seed: 1 });
  const thread = new Thread(wiring.get('main') as never);
  attachThread(loop, thread);
  const driver: LoopDriver = runInLibuv(loop, thread);
  let worker: WorkerHandle | null = null;
  const ended = new Promise<ErrorRecord | null>((resolve) => {
    worker = spawnWorker({ module, exportName, parameters: {} }, wiring.get('worker0') as never, resolve);
  });
  cleanUp = async () => {
    driver.stop();
    thread.close();
    await worker?.terminate();
  };
  return { loop, thread, ended, worker: () => worker as unknown as WorkerHandle };
}

describe('a worker', () => {
  it('ends with null when its main function is done', async () => {
    expect(await start('returnsAtOnce').ended).toBe(null);
  });

  it.each([
    ['throwsAtOnce', { name: 'RangeError', message: 'thrown in main', where: ['worker0'] }],
    ['throwsLater', { name: 'TypeError', message: 'thrown later', where: ['worker0'] }],
    ['exitsSilently', { name: 'WorkerExit', message: 'the thread ended with code 7' }],
    ['notAFunction', { name: 'ConfigError', message: expect.stringMatching(/no such function/) }],
  ])('hands over the cause: %s', async (exportName, cause) => {
    const error = await start(exportName).ended;
    expect(error).toMatchObject(cause);
    if (exportName.startsWith('throws')) expect(error?.stack).toMatch(/test-workers/);
  });

  it('may have been prepared: it has loaded its module, and is told what to run', async () => {
    prepareWorkers(WORKERS, 1, nameOf);
    expect(await start('returnsAtOnce').ended).toBe(null);
    await cleanUp?.();
    prepareWorkers(WORKERS, 1, nameOf);
    // One waits already.
    prepareWorkers(WORKERS, 1, nameOf);
    expect(await start('throwsAtOnce').ended).toMatchObject({ message: 'thrown in main', where: ['worker0'] });
    // That was the only one.
    await cleanUp?.();
    expect(await start('returnsAtOnce').ended).toBe(null);
  });

  it('that was prepared with a module that cannot be loaded says so when it is asked for', async () => {
    const module = new URL('./no-such-module.js', import.meta.url).href;
    prepareWorkers(module, 1, nameOf);
    expect(await start('x', module).ended).toMatchObject({ message: expect.stringMatching(/cannot be loaded/) });
  });

  it('says what to do when its module cannot be loaded', async () => {
    const error = await start('x', new URL('./no-such-module.js', import.meta.url).href).ended;
    expect(error).toMatchObject({
      name: 'ConfigError',
      message: expect.stringMatching(/cannot be loaded/),
      remedy: expect.stringMatching(/Check the URL/),
    });
  });

  it('ends with null when it is terminated while it is parked', async () => {
    const { ended, worker } = start('hostsActor');
    await new Promise((resolve) => setTimeout(resolve, 50));
    await worker().terminate();
    expect(await ended).toBe(null);
  });
});

describe('an actor on another thread', () => {
  function withProxy() {
    const started = start('hostsActor');
    const link = new Link('worker0', started.thread.channel('worker0'));
    const proxy = createActor(new ActorGateway('main', link).proxyLogic('actor'));
    const error = vi.fn();
    proxy.subscribe({ error });
    proxy.start();
    return { ...started, link, proxy, error };
  }

  it('is sent to, mirrored, and fails its proxy with the cause', async () => {
    const { proxy, error } = withProxy();
    await expect.poll(() => proxy.getSnapshot().value).toBe('on');
    proxy.send({ type: 'go' });
    await expect.poll(() => proxy.getSnapshot().value).toBe('going');
    proxy.send({ type: 'bug' });
    await expect.poll(() => error.mock.calls.length).toBe(1);
    expect(error.mock.calls[0]?.[0]).toMatchObject({ message: 'actor bug', where: ['worker0/actor'] });
    expect(error.mock.calls[0]?.[0]).toHaveProperty('stack', expect.stringMatching(/test-workers/));
  });

  it('fails its parent with the cause when its thread dies', async () => {
    const { thread, ended } = start('throwsAtOnce');
    const gateway = new ActorGateway('main', new Link('worker0', thread.channel('worker0')));
    const parent = createActor(
      setup({ actors: { far: gateway.proxyLogic('actor') } }).createMachine({
        context: { cause: null as unknown },
        invoke: { src: 'far', onError: { actions: assign({ cause: ({ event }) => event.error }) } },
      }),
    ).start();
    gateway.fail((await ended) as ErrorRecord);
    expect(parent.getSnapshot().context.cause).toMatchObject({
      name: 'RangeError',
      message: 'thrown in main',
      where: ['worker0'],
    });
  });

  it('is seen by an inspector on the main thread', async () => {
    const { loop, link, proxy } = withProxy();
    const seen: string[] = [];
    const inspection = new Inspection('main', loop, (event: InspectionEvent) => {
      seen.push(`${event.actorRef.sessionId} ${event.type}`);
    });
    inspection.watchThread(link);
    await expect.poll(() => seen).toContain('worker0/actor @xstate.actor');
    proxy.send({ type: 'go' });
    await expect.poll(() => seen).toContain('worker0/actor @xstate.snapshot');
    inspection.detach();
  });
});

describe("a worker's options for Node", () => {
  it.each([
    [[], undefined],
    [['--import', 'x', '-e', 'text'], undefined],
    [
      ['--input-type=module', '-e', 'text', '--import', 'x'],
      ['--import', 'x'],
    ],
    [
      ['--input-type', 'module', '-C', 'y', '--eval=a=b', '-p'],
      ['-C', 'y'],
    ],
    [['--print', 'text', '--no-warnings', '--input-type=module', '-pe', 'text'], ['--no-warnings']],
  ])('%j become %j', (given, wanted) => expect(workerExecArgv(given)).toEqual(wanted));

  it.each([[[]], [['--expose-gc', '--no-warnings']]])(
    'let a program from the command line have workers (%j)',
    (more) => {
      const built = (path: string): string => new URL(`../../dist/src/${path}`, import.meta.url).href;
      const program = `
      import { spawnWorker } from '${built('actor/worker.js')}';
      import { wireThreads } from '${built('channel/threads.js')}';
      const wiring = wireThreads([{ name: 'main', kind: 'libuv' }, { name: 'worker0', kind: 'parking' }]);
      const code = { module: '${WORKERS}', exportName: 'returnsAtOnce', parameters: {} };
      spawnWorker(code, wiring.get('worker0'), (error) => console.log(JSON.stringify(error)));`;
      const words = ['--input-type=module', ...more, '-e', program];
      expect(execFileSync(process.execPath, words, { encoding: 'utf8' })).toBe('null\n');
    },
  );
});

it('a worker that was prepared and not asked for keeps no process alive', () => {
  const built = new URL('../../dist/src/actor/worker.js', import.meta.url).href;
  const program = `import { prepareWorkers } from '${built}'; prepareWorkers('${WORKERS}', 1, () => 'worker0'); console.log('done');`;
  const words = ['--input-type=module', '-e', program];
  expect(execFileSync(process.execPath, words, { encoding: 'utf8', timeout: 20_000 })).toBe('done\n');
});

describe('workerEntry', () => {
  const root = new URL('../../', import.meta.url).href;

  it('is the source where Node strips types, what was built from it otherwise', () => {
    expect(workerEntry(`${root}actors/hart/vcpu.ts`, true)).toBe(`${root}actors/hart/vcpu.ts`);
    expect(workerEntry(`${root}actors/hart/vcpu.ts`, false)).toBe(`${root}dist/actors/hart/vcpu.js`);
  });

  it('leaves modules outside the package, and built ones, as they are', () => {
    expect(workerEntry('file:///elsewhere/device.ts', false)).toBe('file:///elsewhere/device.ts');
    expect(workerEntry(`${root}dist/src/index.js`, false)).toBe(`${root}dist/src/index.js`);
  });
});
