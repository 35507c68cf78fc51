/**
 * The layout of a machine's one shared WebAssembly memory; the only place that knows its offsets.
 *
 *     0           64 KiB  nothing: an address of 0 is a mistake
 *     64 KiB      64 KiB  doorbells, DOORBELL_BYTES for each vCPU
 *     128 KiB     N times an arena: a vCPU's private state (its layout: src/hart/state.ts)
 *     then        N times the dirty bitmaps of a vCPU, one for each of DIRTY_CLIENTS
 *     then, at a multiple of 2 MiB: guest RAM
 */
import { ConfigError } from '../util/config-error.ts';
import { DIRTY_CLIENTS, DIRTY_PAGE_BYTES, dirtyBitmapBytes } from './dirty-log.ts';

export const WASM_PAGE_BYTES = 65536;
export const MAX_MEMORY_PAGES = 65536;

const DOORBELLS = WASM_PAGE_BYTES;
/** Room for a doorbell with its signals, message-signalled interrupts among them: two pairs of cache lines. */
export const DOORBELL_BYTES = 256;
const ARENAS = 2 * WASM_PAGE_BYTES;
const RAM_ALIGNMENT = 2 * 1024 * 1024;

export interface MemoryLayout {
  /** Host offset of each vCPU's doorbell. */
  readonly doorbells: readonly number[];
  /** Host offset of each vCPU's arena. */
  readonly arenas: readonly number[];
  /** Host offset of each vCPU's dirty bitmaps, owned by its hart alone. Resident once they are used. */
  readonly dirty: readonly number[];
  /** Host offset of guest RAM. */
  readonly ram: number;
  readonly ramBytes: number;
  /** Size of the memory in WebAssembly pages. */
  readonly pages: number;
}

/** Lays a machine out. @throws ConfigError where it does not fit into 4 GiB */
export function layOutMemory(machine: { vcpus: number; arenaBytes: number; ramBytes: number }): MemoryLayout {
  const { vcpus, arenaBytes, ramBytes } = machine;
  const indices = Array.from({ length: vcpus }, (_, i) => i);
  const bitmaps = ARENAS + vcpus * arenaBytes;
  const bitmapsBytes = alignUp(DIRTY_CLIENTS.length * dirtyBitmapBytes(ramBytes), DIRTY_PAGE_BYTES);
  const ram = alignUp(bitmaps + vcpus * bitmapsBytes, RAM_ALIGNMENT);
  const pages = Math.ceil((ram + ramBytes) / WASM_PAGE_BYTES);
  if (pages > MAX_MEMORY_PAGES) {
    const most = Math.floor((MAX_MEMORY_PAGES * WASM_PAGE_BYTES - ram) / 2 ** 20);
    throw new ConfigError(
      '-m',
      `${ramBytes / 2 ** 20} MiB of RAM do not fit beside ${vcpus} vCPU(s)`,
      `Use at most -m ${most}M.`,
    );
  }
  return {
    doorbells: indices.map((i) => DOORBELLS + i * DOORBELL_BYTES),
    arenas: indices.map((i) => ARENAS + i * arenaBytes),
    dirty: indices.map((i) => bitmaps + i * bitmapsBytes),
    ram,
    ramBytes,
    pages,
  };
}

function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

/** The memory itself: every page is there from the start, the host's kernel commits them as they are touched. */
export function createMemory(layout: MemoryLayout): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: layout.pages, maximum: MAX_MEMORY_PAGES, shared: true });
}
