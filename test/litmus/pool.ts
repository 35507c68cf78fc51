/** Harts in threads over one RAM: programs of one to four harts in M mode, without devices. Needs the build. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { ARENA } from '../../src/hart/state.ts';
import { assemble } from '../../src/isa/asm.ts';
import { createMemory, layOutMemory } from '../../src/memory/layout.ts';

export const RAM_BASE = 0x8000_0000;
const RAM_BYTES = 2 * 2 ** 20;
const MOST_HARTS = 4;
/** Not RAM: a store there ends the hart's program. Traps end so, too: mtvec is there. */
const END = 0x10_0000;
/** Looks at the barrier before the hart begins to pause. */
const SPINS = 500;

/** Where programs keep what they share; code lies below. */
export const SHARED = RAM_BASE + 0x2_0000;
const BARRIER = RAM_BASE + 0x1_0000;

export interface HartEnd {
  /** It came to its end by itself. */
  readonly ended: boolean;
  readonly yields: number;
  readonly instructions: number;
  /** mcause: not 0 after a trap. */
  readonly trap: bigint;
}

const compile = (name: string): WebAssembly.Module =>
  new WebAssembly.Module(readFileSync(new URL(`../../dist/src/hart/${name}.wasm`, import.meta.url)));

export class HartPool {
  readonly #layout = layOutMemory({ vcpus: MOST_HARTS, arenaBytes: ARENA.lengthBytes, ramBytes: RAM_BYTES });
  readonly #memory = createMemory(this.#layout);
  readonly #ram = new DataView(this.#memory.buffer, this.#layout.ram, RAM_BYTES);
  readonly #workers: Worker[];

  /** @param translated whether what is hot is translated, and soon */
  constructor(translated = false) {
    const { arenas, doorbells, ram } = this.#layout;
    const modules = { runtime: compile('runtime'), interpreter: compile('interpreter') };
    this.#workers = arenas.map((arena, hartId) => {
      const workerData = {
        memory: this.#memory,
        modules,
        arena,
        doorbell: doorbells[hartId],
        ram: { base: RAM_BASE, host: ram, lengthBytes: RAM_BYTES },
        hartId,
      };
      const translator = translated ? { traceInterval: 2048, threshold: 16, urgent: 16 } : null;
      return new Worker(new URL('./worker.js', import.meta.url), { workerData: { ...workerData, translator } });
    });
  }

  /**
   * Runs a program; hart n begins at the label `hartN`. RAM beyond it is zero at the beginning.
   * @throws where a hart takes a trap
   */
  async run(source: string, harts: number): Promise<HartEnd[]> {
    const { bytes, symbols } = assemble(`${source}\ntrap: j trap_end\n${finish('trap_end')}`, { base: RAM_BASE });
    const ram = new Uint8Array(this.#memory.buffer, this.#layout.ram, RAM_BYTES);
    ram.fill(0);
    ram.set(bytes);
    const ends = await Promise.all(
      this.#workers.slice(0, harts).map(async (worker, i) => {
        worker.postMessage({ pc: Number(symbols.get(`hart${i}`)) });
        const [end] = (await once(worker, 'message')) as [HartEnd];
        return end;
      }),
    );
    for (const [i, { ended, trap }] of ends.entries()) {
      if (!ended || trap !== 0n) throw new Error(`hart ${i} took a trap, mcause ${trap}`);
    }
    return ends;
  }

  /** A doubleword of RAM, when nobody runs. */
  read(address: number): bigint {
    return this.#ram.getBigUint64(address - RAM_BASE, true);
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

/** Ends a hart's program. */
export function finish(label: string): string {
  return `${label}: li t0, ${END}\n sw zero, 0(t0)\n j ${label}\n`;
}

/** What a hart's program begins with: traps end it. s4 is the barrier's. */
export function begin(hart: number): string {
  return `hart${hart}: la t0, trap\n csrw mtvec, t0\n li s4, 0\n`;
}

/**
 * A sense-reversing barrier of so many harts, and a full fence on either side; s4 is its own, t0 to t3 are lost.
 * @param label of its own for each place in each hart
 */
export function barrier(label: string, harts: number): string {
  return `
    fence rw, rw
    xori s4, s4, 1
    li t0, ${BARRIER}
    li t1, 1
    amoadd.w.aqrl t2, t1, (t0)
    li t1, ${harts - 1}
    bne t2, t1, ${label}_wait
    sw zero, 0(t0)
    fence rw, w
    sw s4, 64(t0)
    j ${label}_done
  ${label}_wait: li t3, ${SPINS}
  ${label}_spin: lw t1, 64(t0)
    beq t1, s4, ${label}_done
    addi t3, t3, -1
    bnez t3, ${label}_spin
  ${label}_pause: pause
    lw t1, 64(t0)
    bne t1, s4, ${label}_pause
  ${label}_done: fence rw, rw
  `;
}
