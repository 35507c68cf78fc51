/**
 * What traces have shown (TRACE and PROFILE in src/hart/profile-layout.ts): which ops are executed, and which are arrived at by jumps that
 * make good entries of regions: back to a loop's head, into a function, out of one, or out of a region. Counters are
 * found by a hash of the op: bounded, and a collision only misleads. And where computed jumps went.
 *
 * There are thousands of traces a second, so that is done here; the translator is told of what it may have to act on.
 */
import { hart } from './hart';
import {
  ARENA_ARRIVED,
  ARENA_JUMP_TARGETS,
  ARENA_OFFERED,
  ARENA_PAGES,
  ARENA_PROFILE,
  ARENA_TRACE,
  DECODED_PAGE_END_OP,
  DECODED_PAGE_HOST,
  DECODED_PAGE_LENGTH_BYTES,
  DECODED_PAGE_OP_BYTES,
  DECODED_PAGE_POOL,
  DECODED_PAGE_SOURCE,
  HANDLER_REGION,
  LEFT_ASIDE,
  LEFT_NOT,
  OP_HANDLER,
  PROFILE_ARRIVALS,
  PROFILE_ARRIVED_BYTES,
  PROFILE_ARRIVED_COUNT,
  PROFILE_ARRIVED_LO,
  PROFILE_ARRIVED_OP,
  PROFILE_COUNTERS,
  PROFILE_EVERYTHING,
  PROFILE_JUMP_SETS,
  PROFILE_JUMP_WAYS,
  PROFILE_LEFT_WEIGHT,
  PROFILE_LOOP_WEIGHT,
  PROFILE_OFFERED_BITS,
  PROFILE_OTHER_WEIGHT,
  PROFILE_SEEN,
  PROFILE_TARGET_BYTES,
  PROFILE_TARGET_COUNT,
  PROFILE_TARGET_DISTANCE,
  PROFILE_TARGET_JUMP,
  PROFILE_THRESHOLD,
  TRACE_ENTRY_BYTES,
  TRACE_LENGTH,
} from './layout.generated';

const MOST: u32 = 0xffff;
const HALFWORD_BYTES: u32 = 2;
/** A trace without a jump is of long straight code: what begins a piece of so many bytes is an entry, or the trace. */
const STRAIGHT_ENTRY_BYTES: u32 = 512;

/** Kinds of jumps: anything that is neither of the others; one that leaves where it came from; to where a register says. */
const OTHER: u32 = 0;
const CALL: u32 = 1;
const COMPUTED: u32 = 2;

/** Of a trace: low halves of where an instruction begins and ends, its op, and its decoded page. */
let lo: u32 = 0;
let end: u32 = 0;
let op: u32 = 0;
let page: u32 = 0;
/** The same of the instruction before it. */
let lastLo: u32 = 0;
let lastEnd: u32 = 0;
let lastOp: u32 = 0;
let lastPage: u32 = 0;
/** Entries of ARENA_ARRIVED that this trace has written: one for each of its instructions at most, and two more. */
let told: u32 = 0;

/**
 * Takes in the trace that lies in ARENA_TRACE.
 * @param length instructions @param left how it began, of LEFT @param atRegion whether a region begins behind it
 * @returns how many arrivals the translator has to look at: ARENA_ARRIVED
 */
export function seeTrace(length: u32, left: u32, atRegion: u32): u32 {
  const all = load<u32>(hart + ARENA_PROFILE, PROFILE_EVERYTHING) !== 0;
  told = 0;
  let isStraight = length === TRACE_LENGTH;
  let onTheWay: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    if (!read(i)) return told;
    count(hart + ARENA_PROFILE + PROFILE_SEEN, op, 1);
    if (i === 0) {
      // In the middle of a loop, say: one more region of the same loop would be entered there, and be a worse one.
      const isBetween = left === LEFT_ASIDE && atRegion !== 0;
      if ((left !== LEFT_NOT && !isBetween) || all) arrive(PROFILE_LEFT_WEIGHT);
    } else if (lo !== lastEnd) {
      isStraight = false;
      jumped(all);
    } else if ((lo ^ lastLo) & (0 - STRAIGHT_ENTRY_BYTES)) onTheWay = i;
    lastLo = lo;
    lastEnd = end;
    lastOp = op;
    lastPage = page;
  }
  // Where the jump went that leads into a region.
  if (atRegion && length > 0 && read(length) && lo !== lastEnd) jumped(all);
  if (isStraight && read(onTheWay)) arrive(PROFILE_LEFT_WEIGHT);
  return told;
}

/** @returns whether the instruction is of a decoded page */
function read(index: u32): bool {
  const at = hart + ARENA_TRACE + index * TRACE_ENTRY_BYTES;
  lo = load<u32>(at);
  op = load<u32>(at, 4);
  const pages = hart + ARENA_PAGES;
  const number = (op - pages) / DECODED_PAGE_LENGTH_BYTES;
  page = pages + number * DECODED_PAGE_LENGTH_BYTES;
  // Below the pool the difference is greater than any in it.
  if (number >= DECODED_PAGE_POOL || op - page >= DECODED_PAGE_END_OP) return false;
  end = lo + ((halfwordOf(op, page) & 3) === 3 ? 4 : 2);
  return true;
}

/** The first halfword of an op's instruction, which was executed: the copy of the source has it. */
function halfwordOf(op: u32, page: u32): u32 {
  return load<u16>(page + ((op - page) / DECODED_PAGE_OP_BYTES) * HALFWORD_BYTES, DECODED_PAGE_SOURCE);
}

/** Into another page, or back: a loop or a call. Forward jumps within a page seldom are. */
function jumped(all: bool): void {
  const distance = <i32>(lo - lastLo);
  const kind = kindOfLast();
  if (kind === COMPUTED) went(lastOp, distance);
  const isLoop = distance <= 0 && kind === OTHER;
  if (all || distance <= 0 || lastPage !== page || kind !== OTHER)
    arrive(isLoop ? PROFILE_LOOP_WEIGHT : PROFILE_OTHER_WEIGHT);
}

/** What kind of jump the last instruction is. One that goes on in the next page counts as any other. */
function kindOfLast(): u32 {
  const low = halfwordOf(lastOp, lastPage);
  if ((low & 3) !== 3) {
    // C.JR and C.JALR (CR format): rs1 is not 0, rs2 is.
    return (low & 0xe07f) === 0x8002 && (low & 0x0f80) !== 0 ? COMPUTED : OTHER;
  }
  const next = lastOp + DECODED_PAGE_OP_BYTES;
  if (next - lastPage >= DECODED_PAGE_END_OP) return OTHER;
  // JALR, and JAL where rd is not 0.
  if ((low & 0x707f) === 0x67) return COMPUTED;
  return (low & 0x7f) === 0x6f && (low & 0x0f80) !== 0 ? CALL : OTHER;
}

/** @param weight offset in PROFILE of what it counts */
function arrive(weight: u32): void {
  const arrivals = count(hart + ARENA_PROFILE + PROFILE_ARRIVALS, op, load<u32>(hart + ARENA_PROFILE + weight));
  if (load<u16>(op, OP_HANDLER) === HANDLER_REGION) return;
  if (arrivals < load<u32>(hart + ARENA_PROFILE, PROFILE_THRESHOLD) && !isOffered()) return;
  const at = hart + ARENA_ARRIVED + told * PROFILE_ARRIVED_BYTES;
  store<u32>(at, op, PROFILE_ARRIVED_OP);
  store<u32>(at, lo, PROFILE_ARRIVED_LO);
  store<u32>(at, arrivals, PROFILE_ARRIVED_COUNT);
  told++;
}

/** Adds to an op's counter in a table, which saturates. @returns it */
function count(table: u32, op: u32, weight: u32): u32 {
  const at = table + counterOf(op);
  const sum = min(<u32>load<u16>(at) + weight, MOST);
  store<u16>(at, <u16>sum);
  return sum;
}

/** Offset of an op's counter in its table. */
function counterOf(op: u32): u32 {
  return (((op >> 3) ^ (op >> 19)) & (PROFILE_COUNTERS - 1)) * 2;
}

/** How often an op was executed. */
export function heat(op: u32): u32 {
  return load<u16>(hart + ARENA_PROFILE + PROFILE_SEEN + counterOf(op));
}

/** Begins to count the arrivals at an op anew. */
export function forgetArrivals(op: u32): void {
  store<u16>(hart + ARENA_PROFILE + PROFILE_ARRIVALS + counterOf(op), 0);
}

/** A computed jump went `distance` bytes on. The least frequent in its set makes room. */
function went(jump: u32, distance: i32): void {
  const set = jumpTargets(jump);
  let at = set;
  let least = set;
  for (let way: u32 = 0; way < PROFILE_JUMP_WAYS; way++, at += PROFILE_TARGET_BYTES) {
    const times = load<u32>(at, PROFILE_TARGET_COUNT);
    if (times < load<u32>(least, PROFILE_TARGET_COUNT)) least = at;
    if (load<u32>(at, PROFILE_TARGET_JUMP) !== jump || load<i32>(at, PROFILE_TARGET_DISTANCE) !== distance) continue;
    store<u32>(at, times + 1, PROFILE_TARGET_COUNT);
    return;
  }
  store<u32>(least, jump, PROFILE_TARGET_JUMP);
  store<i32>(least, distance, PROFILE_TARGET_DISTANCE);
  store<u32>(least, 1, PROFILE_TARGET_COUNT);
}

/** The set in which the targets of a computed jump are, with those of others: its host offset. */
export function jumpTargets(jump: u32): u32 {
  const set = ((jump >> 3) ^ (jump >> 13)) & (PROFILE_JUMP_SETS - 1);
  return hart + ARENA_JUMP_TARGETS + set * PROFILE_JUMP_WAYS * PROFILE_TARGET_BYTES;
}

/** From now on the translator is told of every arrival at an op of the guest code at a host offset, and of some others. */
export function offer(host: u32): void {
  const at = offeredByte(host);
  store<u8>(at, load<u8>(at) | offeredBit(host));
}

function isOffered(): bool {
  const host = load<u32>(page, DECODED_PAGE_HOST) + ((op - page) / DECODED_PAGE_OP_BYTES) * HALFWORD_BYTES;
  return (load<u8>(offeredByte(host)) & offeredBit(host)) !== 0;
}

function offeredByte(host: u32): u32 {
  return hart + ARENA_OFFERED + (((host >> 4) ^ (host >> 17)) & (PROFILE_OFFERED_BITS / 8 - 1));
}

function offeredBit(host: u32): u8 {
  return <u8>((<u32>1) << ((host >> 1) & 7));
}
