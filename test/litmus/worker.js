// A hart in a thread of its own, for the litmus tests. Plain JavaScript from the build, since Node 20 loads no TypeScript
// in a worker. Runs from a pc until the program stores to what is not RAM, or its doorbell is rung.
import { parentPort, workerData } from 'node:worker_threads';
import { Hart } from '../../dist/src/hart/hart.js';
import { EXIT } from '../../dist/src/hart/state.js';
import { translatorWith } from '../../dist/src/jit/translator.js';

const SLICE = 1_000_000;
const PARK_MS = 0.02;

const { translator: eager, ...place } = workerData;
const translator = eager === null ? {} : { translator: translatorWith(eager) };
const hart = new Hart({ ...place, ...translator, readMtime: () => {}, sbi: false });
const nobody = new Int32Array(new SharedArrayBuffer(4));

function run(pc) {
  hart.reset(BigInt(pc));
  let yields = 0;
  while (true) {
    const reason = hart.run(SLICE);
    if (reason === EXIT.access || reason === EXIT.doorbell) {
      return { ended: reason === EXIT.access, yields, instructions: Number(hart.instret), trap: hart.get('mcause') };
    }
    if (reason !== EXIT.yield) continue;
    yields++;
    Atomics.wait(nobody, 0, 0, PARK_MS);
  }
}

parentPort.on('message', ({ pc }) => parentPort.postMessage(run(pc)));
