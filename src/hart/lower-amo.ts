/** AMOs without calls: WebAssembly's own operation where it has one, else compare and exchange until nobody came between. */
import type { AmoOp } from '../isa/ir.ts';
import type { AtomicOp, Code, PlainOp } from '../wasm/code.ts';

const ATOMICS: Readonly<Partial<Record<AmoOp, string>>> = {
  swap: 'xchg',
  add: 'add',
  and: 'and',
  or: 'or',
  xor: 'xor',
};
/** The comparison that holds where the old value stays. */
const STAYS: Readonly<Partial<Record<AmoOp, string>>> = { minS: 'lt_s', maxS: 'gt_s', minU: 'lt_u', maxU: 'gt_u' };

export interface Amo {
  readonly amo: AmoOp;
  readonly size: 4 | 8;
  /** Local (i32): the host address, aligned, in RAM, and reachable as a store needs it. */
  readonly host: number;
  /** Local (i64). */
  readonly value: number;
}

/** Pushes the old value, a word sign-extended. */
export function pushAmo(code: Code, access: Amo): void {
  const type = access.size === 8 ? 'i64' : 'i32';
  const atomic = ATOMICS[access.amo];
  if (atomic === undefined) pushExchange(code, access, type);
  else {
    code.get(access.host).get(access.value);
    if (type === 'i32') code.op('i32.wrap_i64');
    code.atomic(`${type}.atomic.rmw.${atomic}` as AtomicOp);
  }
  if (type === 'i32') code.op('i64.extend_i32_s');
}

function pushExchange(code: Code, { amo, host, value }: Amo, type: 'i32' | 'i64'): void {
  const [operand, old, seen] = [code.local(type), code.local(type), code.local(type)];
  code.get(value);
  if (type === 'i32') code.op('i32.wrap_i64');
  code.set(operand);
  code.get(host).atomic(`${type}.atomic.load`).set(seen);
  const again = code.loop();
  code.get(host).get(seen).tee(old);
  code
    .get(old)
    .get(operand)
    .get(old)
    .get(operand)
    .op(`${type}.${STAYS[amo]}` as PlainOp, 'select');
  code.atomic(`${type}.atomic.rmw.cmpxchg`).tee(seen);
  code.get(old).op(`${type}.ne`).unlikely().brIf(again);
  code.end();
  code.get(old);
}
