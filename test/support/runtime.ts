/**
 * The runtime module (src/hart/assembly) for tests, as the build left it in dist/, on a memory of its own with one
 * hart's arena in it. Its exports are called directly; i64 arguments and results are BigInt.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ARENA, type FieldName, HART_FIELDS, HART_OFFSETS } from '../../src/hart/state.ts';

const WASM_PATH = fileURLToPath(new URL('../../dist/src/hart/runtime.wasm', import.meta.url));
const PAGE_BYTES = 65536;

export type RuntimeFunction = (...args: (number | bigint)[]) => number | bigint;

export interface Runtime {
  readonly memory: WebAssembly.Memory;
  readonly view: DataView;
  /** Host offset of the hart's arena. */
  readonly arena: number;
  /** The export of that name; throws where there is none. */
  call(name: string): RuntimeFunction;
  /** A field of the hart's state, or one of its elements; u32 fields as numbers in BigInt too. */
  get(field: FieldName, index?: number): bigint;
  set(field: FieldName, value: bigint | number, index?: number): void;
}

/** Host functions the module imports, by name. One that is not given throws when it is called. */
export type HostFunctions = Readonly<Record<string, (...args: never[]) => unknown>>;

/** The imports, whatever modules they are asked from. */
function importsFor(memory: WebAssembly.Memory, host: HostFunctions): Readonly<Record<string, object>> {
  const missing = (name: string) => (): never => {
    throw new Error(`the runtime module called ${name}, which this test does not give`);
  };
  const named = { get: (_: object, name: string) => (name === 'memory' ? memory : (host[name] ?? missing(name))) };
  return new Proxy({}, { get: () => new Proxy({}, named) });
}

/** A fresh instance. `memoryPages` must hold the arena, which lies at `arena`, and whatever the test puts behind it. */
export function loadRuntime(
  options: { readonly arena?: number; readonly memoryPages?: number; readonly host?: HostFunctions } = {},
): Runtime {
  const arena = options.arena ?? PAGE_BYTES;
  const initial = options.memoryPages ?? Math.ceil((arena + ARENA.lengthBytes) / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial, maximum: 65536, shared: true });
  const module = new WebAssembly.Module(readFileSync(WASM_PATH));
  const instance = new WebAssembly.Instance(module, importsFor(memory, options.host ?? {}));
  const view = new DataView(memory.buffer);

  const call = (name: string): RuntimeFunction => {
    const found = instance.exports[name];
    if (typeof found !== 'function') throw new Error(`the runtime module has no export ${name}`);
    return found as RuntimeFunction;
  };
  const addressOf = (field: FieldName, index: number): number =>
    arena + HART_OFFSETS[field] + index * (HART_FIELDS[field].type === 'u64' ? 8 : 4);

  call('init')(arena);
  return {
    memory,
    view,
    arena,
    call,
    get(field, index = 0) {
      const at = addressOf(field, index);
      return HART_FIELDS[field].type === 'u64' ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
    },
    set(field, value, index = 0) {
      const at = addressOf(field, index);
      if (HART_FIELDS[field].type === 'u64') view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
      else view.setUint32(at, Number(BigInt.asUintN(32, BigInt(value))), true);
    },
  };
}
