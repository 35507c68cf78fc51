/**
 * Bytes of JavaScript heap for each event in steady state, measured on the build: `node --expose-gc events.js`, with
 * young generations so large that nothing is collected meanwhile. Prints JSON: event -> bytes. An allocation for each
 * event is in every pass; what the engine does once is not in the least of them.
 */

import { ConsolePort } from '../../dist/actors/char/console-port.js';
import { uart16550 } from '../../dist/actors/char/uart16550.js';
import { HartPeers } from '../../dist/actors/cpu/hart-peers.js';
import { createVcpu } from '../../dist/actors/cpu/vcpu.js';
import { plic } from '../../dist/actors/irq/plic.js';
import { aclint } from '../../dist/actors/misc/aclint.js';
import {
  createActor,
  deviceActorLogic,
  MUST_WAIT,
  RegisterWindows,
  remoteRegisterWindow,
  WindowServer,
} from '../../dist/src/actor/index.js';
import { createAddressSpace } from '../../dist/src/bus/address-space.js';
import { FlatView } from '../../dist/src/bus/flat-view.js';
import { Thread, wireThreads } from '../../dist/src/channel/threads.js';
import { ARENA } from '../../dist/src/hart/state.js';
import { assemble } from '../../dist/src/isa/asm.js';
import { HostClock, SimulatedClock } from '../../dist/src/loop/clock.js';
import { ParkingDriver } from '../../dist/src/loop/drivers.js';
import { attachThread, EventLoop } from '../../dist/src/loop/index.js';
import { DOORBELL } from '../../dist/src/memory/doorbell-words.js';
import { createMemory, layOutMemory } from '../../dist/src/memory/layout.js';
import { loadHartModules } from '../../dist/src/vm-modules.js';

const PASSES = 4;
const RAM_BASE = 0x8000_0000;
const RAM_BYTES = 4 * 2 ** 20;
const DEVICE = 0x1000_0000;
/** Of a machine that has run for days: the engine has an object for a number that large, and none for a small integer. */
const BEYOND_SMALL_INTEGERS_NS = 1e15;

const bytes = {};

/** @returns bytes of the heap that so many events take, at least */
function leastBytes(events, run) {
  let least = Number.POSITIVE_INFINITY;
  for (let pass = 0; pass < PASSES; pass++) {
    globalThis.gc();
    const before = process.memoryUsage().heapUsed;
    run(events);
    least = Math.min(least, process.memoryUsage().heapUsed - before);
  }
  return least;
}

/** What a pass takes whatever is done in it, 8 to 16 KB in Node 24, is not the events'. @param run does so many of them */
function measure(name, events, run) {
  for (let pass = 0; pass < PASSES; pass++) run(events);
  bytes[name] = (leastBytes(2 * events, run) - leastBytes(events, run)) / events;
}

const clock = new SimulatedClock();
const newLoop = (name) => new EventLoop({ name, clock, seed: 1 });

function answerFive(_offset, _size, done) {
  done(5);
  return true;
}

function loops() {
  const loop = newLoop('alone');
  let runs = 0;
  const work = loop.bottomHalf('work', () => runs++);
  measure('bottom half', 500_000, (n) => {
    for (let i = 0; i < n; i++) {
      work.schedule();
      loop.turn();
    }
  });
  const timer = loop.timer('tick', () => runs++);
  let nowNs = 0;
  measure('timer armed and due', 500_000, (n) => {
    for (let i = 0; i < n; i++) {
      nowNs += 100;
      timer.arm(nowNs);
      clock.advanceTo(nowNs);
      loop.turn();
    }
  });
}

function channels() {
  const wiring = wireThreads([
    { name: 'a', kind: 'parking' },
    { name: 'b', kind: 'parking' },
  ]);
  const [a, b] = ['a', 'b'].map((name) => new Thread(wiring.get(name)));
  const [loopA, loopB] = [newLoop('a'), newLoop('b')];
  attachThread(loopA, a);
  attachThread(loopB, b);
  const [toB, toA] = [a.channel('b'), b.channel('a')];
  let seen = 0;
  toA.onWords(40, (w0) => {
    seen += w0 & 1;
  });
  measure('words record to another loop', 100_000, (n) => {
    for (let i = 0; i < n; i++) {
      toB.postWords(40, i, 0, 0, 0);
      loopB.turn();
    }
  });
  toA.onWords(41, (w0, _1, _2, _3, token) => toA.replyWords(token, 0, w0));
  const done = (_status, value) => {
    seen += value & 1;
  };
  measure('words request and its reply', 100_000, (n) => {
    for (let i = 0; i < n; i++) {
      toB.requestWords(41, i & 1, 0, 0, 0, done);
      loopB.turn();
      loopA.turn();
    }
  });
  toB.usePlaces();
  measure('words request and its reply in their places', 100_000, (n) => {
    for (let i = 0; i < n; i++) {
      toB.requestWords(41, i & 1, 0, 0, 0, done);
      loopB.turn();
      loopA.turn();
    }
  });
  b.doorbell.onSignal(DOORBELL.firstSignal, () => seen++);
  const bell = a.bell('b');
  measure('signal to another loop', 100_000, (n) => {
    for (let i = 0; i < n; i++) {
      bell.raise(DOORBELL.firstSignal);
      loopB.turn();
    }
  });
  const server = new WindowServer(toA);
  server.serve(0, { lengthBytes: 4096, read: () => 5, write: () => 0, readAsync: answerFive });
  const window = remoteRegisterWindow(toB, 0, 4096);
  measure('register of another loop written', 100_000, (n) => {
    for (let i = 0; i < n; i++) {
      window.write(8, i, 4);
      loopB.turn();
    }
  });
  const got = (value) => {
    seen += value & 1;
  };
  measure('register of another loop read', 50_000, (n) => {
    for (let i = 0; i < n; i++) {
      window.readAsync(8, 4, got);
      loopB.turn();
      loopA.turn();
    }
  });
}

function devices() {
  const loop = newLoop('devices');
  const windows = new RegisterWindows();
  const counts = new Int32Array(1);
  const count = (value) => {
    counts[0] += value & 1;
  };
  const line = { set: count };
  const start = (name, definition, ports, config) => {
    const actor = createActor(deviceActorLogic(definition, { loop, ports, config, registers: windows }), { id: name });
    actor.start();
    actor.send({ type: 'device.start' });
    return actor;
  };
  start('plic', plic, { context: () => line }, { sources: 96, contexts: 4 });
  const registers = windows.get('plic');
  registers.write(40, 5, 4);
  registers.write(0x2000, 0x400, 4);
  const inputs = windows.inputs('plic');
  measure('PLIC interrupt: raised, claimed, lowered, completed', 50_000, (n) => {
    for (let i = 0; i < n; i++) {
      inputs.set(10, true);
      const source = registers.read(0x20_0004, 4);
      inputs.set(10, false);
      registers.write(0x20_0004, source, 4);
    }
  });
  measure('PLIC register read and written', 100_000, (n) => {
    for (let i = 0; i < n; i++) {
      registers.write(40, 5, 4);
      count(registers.read(40, 4));
    }
  });
  let typed = () => {};
  const link = { on: (_type, handler) => (typed = handler), post: () => true, reply: () => {} };
  const char = new ConsolePort(link, loop, () => {});
  const uart = start('uart', uart16550, { irq: line, char }, undefined);
  char.listener = { readable: () => uart.send({ type: 'char.readable' }), writable: () => {} };
  const serial = windows.get('uart');
  // Divisor latch closed, FIFOs on, interrupts for input on.
  for (const [offset, value] of [
    [3, 3],
    [2, 7],
    [1, 1],
  ])
    serial.write(offset, value, 1);
  // A driver that has just opened it is given nothing yet.
  clock.advanceTo(clock.nowNs() + 1e9);
  loop.turn();
  measure('UART: character to the console', 200_000, (n) => {
    for (let i = 0; i < n; i++) {
      count(serial.read(5, 1));
      serial.write(0, i & 0x7f, 1);
      loop.turn();
    }
  });
  let seen = 0;
  const input = { bytes: new Uint8Array(1024).fill(0x61) };
  measure('UART: character from the console', 1024 * 100, (n) => {
    for (let i = 0; i < n; i++) {
      if ((i & 1023) === 0) typed(input, 1);
      seen += serial.read(5, 1) & 1;
      count(serial.read(0, 1));
      loop.turn();
    }
  });
  if (seen < 1024) throw new Error(`${seen} characters have come`);
  const hart = {
    setSoftwareInterrupt: count,
    setTimecmp: count,
  };
  start('aclint', aclint, { harts: [hart], readMtime: () => 5 }, undefined);
  const timer = windows.get('aclint');
  measure('ACLINT: IPI and comparator', 100_000, (n) => {
    for (let i = 0; i < n; i++) {
      timer.write(0, i & 1, 4);
      timer.write(0x4000, i & 0xffff, 4);
      timer.write(0x4004, 0, 4);
    }
  });
}

/** A thread sleeps until a timer of its loop is due, by the host's clock. */
function sleeps() {
  const thread = new Thread(wireThreads([{ name: 'sleeper', kind: 'parking' }]).get('sleeper'));
  const loop = new EventLoop({ name: 'sleeper', clock: HostClock.running(), seed: 1 });
  attachThread(loop, thread);
  const driver = new ParkingDriver(loop, thread);
  let runs = 0;
  const timer = loop.timer('tick', () => runs++);
  const dueNs = new Float64Array(1);
  measure('sleep that a timer ends', 2_000, (n) => {
    for (let i = 0; i < n; i++) {
      const before = runs;
      loop.readClock(dueNs);
      dueNs[0] += 1_000;
      timer.armAt(dueNs);
      while (runs === before) {
        driver.park();
        driver.turn();
      }
    }
  });
}

/** A vCPU on a loop of its own that runs a program in M mode. */
async function vcpu(source, isFar = false) {
  const layout = layOutMemory({ vcpus: 1, arenaBytes: ARENA.lengthBytes, ramBytes: RAM_BYTES });
  const memory = createMemory(layout);
  const ram = new Uint8Array(memory.buffer, layout.ram, RAM_BYTES);
  ram.set(assemble(source, { base: RAM_BASE }).bytes);
  const loop = newLoop('vcpu');
  let value = 0;
  /** Of the far device: whoever waits for what is read; null where nobody does. */
  const asked = { done: null };
  const window = {
    lengthBytes: 4096,
    read: () => (isFar ? MUST_WAIT : value),
    write: (_offset, written) => {
      value = written & 0xff;
      return 0;
    },
    readAsync: (_offset, _size, done) => {
      asked.done = done;
      return isFar;
    },
  };
  const made = createVcpu({
    loop,
    sharesCores: false,
    hart: {
      memory,
      modules: await loadHartModules(),
      arena: layout.arenas[0],
      doorbell: layout.doorbells[0],
      ram: { base: RAM_BASE, host: layout.ram, lengthBytes: RAM_BYTES },
      hartId: 0,
      sbi: false,
    },
    sbi: { ram: { base: RAM_BASE, bytes: ram }, written: () => {}, peers: new HartPeers(), harts: 1 },
    log: null,
    firstView: () =>
      new FlatView(createAddressSpace([{ name: 'device', base: DEVICE, lengthBytes: 4096, kind: 'mmio', window }])),
    startOf: (pc, a1) => ({ mode: 'M', pcGpa: Number(pc), a1, a2: 0n }),
    paused: () => {},
    writeLog: () => {},
    onSpace: () => {},
  });
  const actor = createActor(made.logic);
  actor.start();
  actor.send({ type: 'vcpu.start', pc: BigInt(RAM_BASE), argument: 0n });
  return { ...made, loop, asked };
}

async function harts() {
  const mmio = await vcpu(`li s0, ${DEVICE}\nagain: sb a0, 0(s0)\nlbu a0, 0(s0)\nj again`);
  measure('slice that ends in an access of a local register', 100_000, (n) => {
    for (let i = 0; i < n; i++) mmio.runner.slice();
  });
  const far = await vcpu(`li s0, ${DEVICE}\nagain: lbu a0, 0(s0)\nld a1, 0(s0)\nj again`, true);
  // Functions, as with the timer below.
  const answer = (value) => {
    const { done } = far.asked;
    far.asked.done = null;
    done(value & 0xff);
  };
  const readBoth = (value) => {
    far.runner.slice();
    answer(value);
    far.runner.slice();
    answer(value);
    answer(value);
  };
  measure('register of another thread read by a hart, one word and two', 50_000, (n) => {
    for (let i = 0; i < n; i++) readBoth(i);
  });
  const idle = await vcpu(`li s0, ${DEVICE}\nli t0, 0x888\ncsrw mie, t0\nagain: wfi\nlbu t0, 0(s0)\nj again`);
  measure('wfi that a line ends', 50_000, (n) => {
    for (let i = 0; i < n; i++) {
      idle.runner.slice();
      idle.runner.setInterruptLine(11, true);
      idle.runner.slice();
      idle.runner.setInterruptLine(11, false);
    }
  });
  // Not a variable of the closure: those are boxed when they are no small integers.
  const now = new Float64Array([clock.nowNs() + BEYOND_SMALL_INTEGERS_NS]);
  // A function: Node 24 compiles the loop of each pass anew, and what it computes until then are objects.
  const tick = () => {
    now[0] += 10_000;
    const ticks = now[0] / 100;
    idle.timer.setTimecmp(ticks >>> 0, Math.floor(ticks / 2 ** 32));
    idle.runner.slice();
    clock.advanceTo(now[0]);
    idle.loop.turn();
    idle.runner.slice();
  };
  measure('wfi that the timer ends', 50_000, (n) => {
    for (let i = 0; i < n; i++) tick();
  });
}

loops();
channels();
devices();
sleeps();
await harts();
process.stdout.write(JSON.stringify(bytes));
