/**
 * The hart's state: one table. Typed views, WebAssembly offsets (assembly/layout.generated.ts), snapshots and gdb's
 * registers derive from it. It lies at the start of the vCPU's arena in the shared memory and has one owner, the vCPU.
 *
 * Kinds: `arch` is architectural and saved; `exec` is derived or transient: rebuilt after load, never saved.
 */
import { PROFILE, TRACE } from './profile-layout.ts';

export type FieldType = 'u32' | 'u64';

export interface Field {
  readonly type: FieldType;
  /** Number of elements; 1 where left out. */
  readonly count?: number;
  readonly kind: 'arch' | 'exec';
  readonly doc: string;
}

const arch = (type: FieldType, doc: string, count = 1): Field => ({ type, count, kind: 'arch', doc });
const exec = (type: FieldType, doc: string, count = 1): Field => ({ type, count, kind: 'exec', doc });

/** Tables of the data TLB: U, S with SUM clear, S with SUM set, M or bare, in this order. */
const DATA_CONTEXTS = 4;
/** Tables of the fetch TLB: U, S, M. */
const FETCH_CONTEXTS = 3;
const TLB_TABLES = DATA_CONTEXTS + FETCH_CONTEXTS;

export const HART_FIELDS = {
  x: arch('u64', 'integer registers; x[0] is always 0', 32),
  f: arch('u64', 'floating-point registers, NaN-boxed', 32),
  pc: arch('u64', 'address of the next instruction; of the current one while a slow path runs'),
  mstatus: arch('u64', 'mstatus; SD, UXL and SXL are made on reading'),
  medeleg: arch('u64', 'medeleg'),
  mideleg: arch('u64', 'mideleg'),
  mie: arch('u64', 'mie'),
  mip: arch('u64', "mip's software-written bits: SSIP, SEIP, and STIP while menvcfg.STCE is clear"),
  lines: arch(
    'u64',
    'levels of the interrupt lines and of the timers when the clock was last looked at, as bits of mip',
  ),
  mtvec: arch('u64', 'mtvec'),
  mscratch: arch('u64', 'mscratch'),
  mepc: arch('u64', 'mepc'),
  mcause: arch('u64', 'mcause'),
  mtval: arch('u64', 'mtval'),
  mcounteren: arch('u64', 'mcounteren'),
  mcountinhibit: arch('u64', 'mcountinhibit'),
  menvcfg: arch('u64', 'menvcfg'),
  mhartid: arch('u64', 'mhartid'),
  stvec: arch('u64', 'stvec'),
  sscratch: arch('u64', 'sscratch'),
  sepc: arch('u64', 'sepc'),
  scause: arch('u64', 'scause'),
  stval: arch('u64', 'stval'),
  scounteren: arch('u64', 'scounteren'),
  senvcfg: arch('u64', 'senvcfg'),
  satp: arch('u64', 'satp'),
  stimecmp: arch('u64', 'stimecmp (Sstc)'),
  mtimecmp: arch('u64', 'the ACLINT comparator of this hart'),
  pmpaddr: arch('u64', 'pmpaddr0..15, bits 53:0', 16),
  pmpcfg: arch('u64', 'pmpcfg0 and pmpcfg2: sixteen bytes', 2),
  clockLook: arch('u64', 'instret when the clock was last looked at for timer interrupts'),
  instretEnd: arch('u64', 'instructions retired once `remaining` has run down to 0: instret = instretEnd - remaining'),
  mcycleBias: arch('u64', 'mcycle = instret + this (one instruction, one cycle); this alone while inhibited'),
  minstretBias: arch('u64', 'minstret = instret + this; this alone while inhibited'),
  reservationValue: arch('u64', 'what LR read; SC compares and exchanges against it'),
  pendingGpa: arch('u64', 'guest-physical address of the pending access'),
  pendingValue: arch('u64', 'its value: written before a write is issued, or by whoever completes a read'),
  deadline: arch(
    'u64',
    'mtime at which a timer interrupt is due next, all ones for never; as of the last look at the clock',
  ),
  miselect: arch('u64', 'miselect'),
  siselect: arch('u64', 'siselect'),
  mvien: arch('u64', 'mvien: SSIE, SEIE'),
  mvip: arch('u64', "mvip's own SSIP, in use while mvien.SSIE is set; its SEIP is the software-written SEIP of mip"),
  sie: arch('u64', "sie's own bits, in use where mvien is set and mideleg is not"),
  eidelivery: arch('u64', 'eidelivery of the IMSIC interrupt files: M level, S level', 2),
  eithreshold: arch('u64', 'eithreshold of the two', 2),
  eip: arch('u64', 'pending bits of identities 0..255 of the M-level file, then of the S-level file', 8),
  eie: arch('u64', 'enable bits, in the same order', 8),
  priv: arch('u32', 'privilege mode: 0 U, 1 S, 3 M'),
  fflags: arch('u32', 'accrued exception flags NX 1, UF 2, OF 4, DZ 8, NV 16'),
  frm: arch('u32', 'dynamic rounding mode, 0..7'),
  reservationValid: arch('u32', '1 while a reservation is held'),
  reservationOffset: arch('u32', 'offset of the reserved bytes in guest RAM'),
  reservationSize: arch('u32', '4 or 8'),
  pendingState: arch('u32', 'PENDING: the access that left WebAssembly because its target is not RAM'),
  pendingSize: arch('u32', 'its width in bytes: 1, 2, 4 or 8'),
  pendingIsWrite: arch('u32', '1 for a write'),
  waiting: arch('u32', '1 while the hart stands in WFI'),
  remaining: arch('u32', 'instructions left in this slice (signed)'),
  pauses: arch('u32', 'pauses executed since one last left with EXIT.yield'),

  status: exec('u32', 'STATUS of the last slow path'),
  exitReason: exec('u32', 'EXIT: why the run loop returned'),
  trapValue: exec('u32', 'scratch of trap entry'),
  later: exec('u32', 'instructions of the slice that the hot loop has not been given yet'),
  fpGate: exec('u32', 'FP_GATE bits, from mstatus.FS, frm and fflags'),
  dtlb: exec('u32', 'host offset of the data TLB of the current context'),
  ftlb: exec('u32', 'host offset of the fetch TLB of the current context'),
  op: exec('u32', 'host offset of the next pre-decoded op'),
  page: exec('u32', 'host offset of the first op of the decoded page in which `op` lies'),
  codeGeneration: exec('u32', 'counts fence.i: decoded pages of an older generation are verified before they run'),
  decodedPages: exec('u32', 'decoded pages in use'),
  evictionHand: exec('u32', 'the decoded page that is looked at next when one must make room'),
  tlbFills: exec(
    'u32',
    'for each TLB table, the data contexts first: entries filled since it was empty, as far as its log (TLB_LOG) has them; one more, that there were others',
    TLB_TABLES,
  ),
  mtime: exec('u64', 'what the clock said when it was last read, in ticks, as a double: the host writes it'),
  largeLow: exec(
    'u64',
    'lowest address of pages above 4 KiB in the TLBs: lower half of the address space, upper half',
    2,
  ),
  largeHigh: exec('u64', 'highest such address; below largeLow where there is none', 2),
  walkTags: exec('u64', 'page walk cache: virtual address >> 21 of what the leaf table at the same index maps', 16),
  walkTables: exec('u64', 'guest-physical addresses of those tables', 16),
  ramHost: exec('u32', 'host offset of guest RAM'),
  ramBytes: exec('u64', 'length of guest RAM in bytes'),
  ramBase: exec('u64', 'guest-physical address of guest RAM'),
  sbi: exec('u32', '1: an ecall from S mode leaves to the built-in SBI'),
  aia: exec('u32', 'AIA: what the hart has of the Advanced Interrupt Architecture'),
  logTraps: exec('u32', '1: the host is told of every trap'),
  logCode: exec('u32', '1: the host is told of every instruction that is decoded; nothing is decoded ahead'),
  doorbell: exec('u32', "host offset of the thread's doorbell, whose state asks the run loop to return"),
  imsicBase: exec(
    'u64',
    'guest-physical addresses of the interrupt files that messages are sent to: M level, S level',
    2,
  ),
  neighbours: exec(
    'u32',
    'harts of the machine that are signalled from here, this one among them; 0: the host does it',
  ),
  sbiIpi: exec('u64', 'number of the SBI extension whose first call sends IPIs'),
  imsicFiles: exec('u32', 'how many there are of each level, those of harts 0 and up'),
  dirtyClients: exec('u32', 'bit n: client n of the dirty log is logging'),
  dirtyBitmap: exec('u32', "host offset of this hart's dirty bitmaps, one behind the other; 0: it has none"),
  dirtyBitmapBytes: exec('u32', 'length of one of them'),
  hasTso: exec('u32', '1: the host has total store order (host-processor.ts)'),
  fenceWord: exec('u32', 'what a full fence there is an atomic operation on'),
  exactQuanta: exec('u32', '1: the clock is looked at after the same instructions, however they are executed'),
  traceInterval: exec('u32', 'instructions interpreted between two traces for the translator; 0: there is none'),
  traceDue: exec('u32', 'instructions to be interpreted until the next trace (signed)'),
  traceLeft: exec('u32', 'instructions of the trace under way that are still to come'),
  fetchEpoch: exec(
    'u64',
    'counts whatever may have changed which decoded pages addresses have, or where regions begin',
  ),
  regionExits: exec('u64', 'times that regions answered, by REGION_STATUS; `left` is not counted', 6),
  crossingWord: exec('u32', 'encoding that scratchOps was decoded from; 0: none'),
  scratchOps: exec('u64', 'pre-decoded ops of an instruction that crosses a page, and the end op behind them', 4),
  bias: exec('u64', 'pc less what the address of the op at it gives, while the hot loop runs'),
  decodes: exec('u32', 'times that the hot loop has met an instruction which was not decoded'),
  wfiLooks: exec('u32', 'times that wfi looks for signals before the hart leaves'),
} as const satisfies Record<string, Field>;

export type FieldName = keyof typeof HART_FIELDS;

/** Bytes of an element. */
export const FIELD_BYTES: Readonly<Record<FieldType, number>> = { u32: 4, u64: 8 };

function layOut(): { offsets: Record<FieldName, number>; lengthBytes: number } {
  const offsets = {} as Record<FieldName, number>;
  let at = 0;
  for (const name of Object.keys(HART_FIELDS) as FieldName[]) {
    const field: Field = HART_FIELDS[name];
    const size = FIELD_BYTES[field.type];
    at = (at + size - 1) & -size;
    offsets[name] = at;
    at += size * (field.count ?? 1);
  }
  return { offsets, lengthBytes: (at + 63) & -64 };
}

const laidOut = layOut();

/** Byte offsets of the fields from the start of the hart's arena. */
export const HART_OFFSETS: Readonly<Record<FieldName, number>> = laidOut.offsets;
/** Bytes the table takes, a multiple of a cache line. */
export const HART_STATE_BYTES: number = laidOut.lengthBytes;

/** What a slow path says to the run loop. */
export const STATUS = {
  /** The instruction is done; go on behind it. */
  next: 0,
  /** The pc was set (trap, return from trap, jump): fetch anew. */
  refetch: 1,
  /** Leave to the host; `exitReason` says why. The instruction is not done and will be executed again. */
  exit: 2,
  /** Leave to the host; the instruction is done, pc already moved on. */
  exitDone: 3,
} as const;

/** Why the run loop returned to the host. */
export const EXIT = {
  /** `remaining` ran down. */
  slice: 0,
  /** The doorbell was rung, for more than the hart takes itself. */
  doorbell: 1,
  /** A pending access must be carried out by the host; then the loop is entered again. */
  access: 2,
  /** The hart waits for an interrupt. */
  wfi: 3,
  /** An ecall from S mode for the built-in SBI. pc still names the ecall. */
  sbi: 4,
  /**
   * The guest spins: others may run. Given by every so many `pause`; the instruction is done. Nobody tells when what it
   * waits for has happened: whoever parks does so for a short time, or until the doorbell.
   */
  yield: 5,
  /** The same, given by a stalling `wrs.nto` or `wrs.sto`: it waits for a value, as those do who want a lock. */
  stall: 6,
} as const;

/** States of the pending access. */
export const PENDING = {
  none: 0,
  /** Left to the host. */
  issued: 1,
  /** Done: pendingValue holds what was read. */
  done: 2,
  /** The target answered with a bus fault. */
  fault: 3,
} as const;

/** Values of `aia`. */
export const AIA = {
  /** Nothing. */
  none: 0,
  /** Smaia and Ssaia without an IMSIC: external interrupts are wires, of a PLIC or APLIC. */
  csrs: 1,
  /** Smaia and Ssaia with an IMSIC: external interrupts come from the two interrupt files. */
  imsic: 2,
} as const;

/** Bits of `fpGate`. */
export const FP_GATE = {
  /** FS is not Off: f registers may be read. */
  on: 1,
  /** FS is Dirty: f registers may be written without touching mstatus. */
  dirty: 2,
  /** Dirty, frm is RNE and NX already set: native arithmetic may be used. */
  fast: 4,
  /** Dirty and frm is RNE: native arithmetic may be used where its result is exact. */
  exact: 8,
} as const;

/** What a bit that is set says of the others. */
export const IMPLIED_GATE: Readonly<Record<number, number>> = {
  [FP_GATE.on]: FP_GATE.on,
  [FP_GATE.dirty]: FP_GATE.on | FP_GATE.dirty,
  [FP_GATE.exact]: FP_GATE.on | FP_GATE.dirty | FP_GATE.exact,
  [FP_GATE.fast]: FP_GATE.on | FP_GATE.dirty | FP_GATE.exact | FP_GATE.fast,
};

/**
 * The data TLB: direct-mapped, one table per context. An entry whose tag equals the page of the access hits. A page's
 * slot is the low bits of its number, xor those from bit `foldBits` on: streams a power of two apart do not collide.
 */
export const DTLB = {
  entries: 4096,
  /**
   * More than an entry's number has: else the last page of 2 GiB would have the entry of the next one, whose tag is what
   * an access that crosses over is compared with.
   */
  foldBits: 13,
  entryBytes: 32,
  /** u64: virtual page address readable through this entry, or `empty`. */
  readTag: 0,
  /** u64: the same for writing. */
  writeTag: 8,
  /** u32: host offset = low 32 bits of the virtual address + this, modulo 2^32. */
  addend: 16,
  /** No page address has a low bit set. */
  empty: 1n,
  contexts: DATA_CONTEXTS,
} as const;

/** The fetch TLB: virtual page -> decoded page, direct-mapped, one table per context. */
export const FTLB = {
  entries: 4096,
  entryBytes: 16,
  tag: 0,
  /** u32: host offset of the decoded page's first op. */
  page: 8,
  empty: 1n,
  contexts: FETCH_CONTEXTS,
} as const;

/**
 * For each table the entries that were filled: an address space is left after some dozens as a rule, and only those are
 * emptied.
 */
export const TLB_LOG = { tables: TLB_TABLES, entries: 512 } as const;

/** Pages in the pool of decoded ones: 8 MiB of code. With half of them a boot of systemd, or Python, goes round in it. */
const DECODED_PAGES = 2048;

/**
 * A decoded page: an op for every halfword of a 4 KiB guest page, then the end op, then what it was decoded from.
 * All zero bytes is a page of undecoded ops.
 */
export const DECODED_PAGE = {
  opBytes: 8,
  ops: 2048,
  /** The op behind the last halfword: the run loop fetches the next page. */
  endOp: 2048 * 8,
  /** u32: host offset of the guest page. */
  host: 2048 * 8 + 8,
  /** u32: the code generation at which the page was last compared with its source. */
  generation: 2048 * 8 + 12,
  /** u32: 1 when the page was looked up since the eviction hand last passed it. */
  used: 2048 * 8 + 16,
  /** u32: not 0 while translated regions hang on the page: the translator is told of what changes. */
  translated: 2048 * 8 + 20,
  /** u64: which blocks of the source are here: those of which something was decoded. */
  copied: 2048 * 8 + 24,
  /** Bytes of such a block. */
  blockBytes: 64,
  /** 4096 bytes: the source, as far as it is here, as it was when the page was last compared. */
  source: 2048 * 8 + 64,
  lengthBytes: 2048 * 8 + 64 + 4096,
  /** Pages in the pool; when it is full one that was not used lately makes room. */
  pool: DECODED_PAGES,
  /** Open-addressed table host page -> decoded page: {u32 host offset of the guest page + 1, u32 decoded page}. */
  hashEntries: 2 * DECODED_PAGES,
} as const;

/** A pre-decoded op. Register fields hold the register number times 8. */
export const OP = {
  /** u16: index of the handler; 0 is "not decoded yet". */
  handler: 0,
  /** u8: rd, or rs2 where there is no rd and an immediate needs the second word. */
  a: 2,
  /** u8: rs1. */
  b: 3,
  /** u8: rs2 where there is no immediate. */
  c: 4,
  /** u8: rs3. */
  d: 5,
  /** i32: the immediate. */
  imm: 4,
} as const;

/**
 * What instruction words were decoded to, by a hash of the word. A word of 0, as all are before the first, is no
 * instruction.
 */
export const KNOWN_WORDS = {
  /** A power of two. */
  entries: 8192,
  entryBytes: 16,
  /** u32 */
  word: 0,
  /** u32: an op's first half. */
  op: 4,
  /** u32: its second half. */
  imm: 8,
  /** u32: 1 where what stands behind it is likely to be executed. */
  goesOn: 12,
} as const;

/**
 * An entry of a translated region as the run loop knows it. Its op (SPECIAL.region) stands where the region is entered,
 * and has the offset of this record in ARENA.regions as its immediate.
 */
export const REGION = {
  /** u64: the op that was there before. */
  original: 0,
  /** u32: place in the table of regions; several entries of one region have the same. */
  slot: 8,
  /** u32: instructions that must be left for it to be entered. */
  minBudget: 12,
  /** u32: times that it was entered, and instructions that it executed then; the translator takes and clears them. */
  visits: 16,
  insns: 20,
  /** u32: times that it refused. */
  refusals: 24,
  /** u32: visits that ended at an access whose page the data TLB does not have. */
  misses: 28,
  /** u32: visits that ended at arithmetic because NX is clear. */
  gated: 32,
  /** u32: the region's last argument. */
  entry: 36,
  /**
   * u64 fetchEpoch, u64 pc, u32 ftlb: when the region's pages were last found in their places. There they are as long as
   * those stay the same.
   */
  epoch: 40,
  pc: 48,
  ftlb: 56,
  /** u32: pages it has beside the one of this entry. */
  pages: 60,
  /** For each of them {i32 distance in bytes from this entry's page, u32 decoded page}. */
  page: 64,
  pageBytes: 8,
  maxPages: 8,
  lengthBytes: 128,
  /** Records there are. */
  count: 4096,
} as const;

/**
 * Where regions begin that control lately came to out of others, by a hash of the pc: all that entering one takes, in
 * half a cache line. An entry holds while its epoch is the hart's fetchEpoch.
 */
export const JUMP_CACHE = {
  entries: 2048,
  entryBytes: 32,
  /** Bits of the pc from bit 1 on are the hash, xor those so many further up. */
  foldBits: 10,
  /** u64 pc, u64 fetchEpoch, u32 ftlb: as in REGION. */
  pc: 0,
  epoch: 8,
  ftlb: 16,
  /** u32: host offset of the region's record. */
  record: 20,
  /** u32, u16, u16: as in the record. */
  entry: 24,
  slot: 28,
  minBudget: 30,
} as const;

/** What a region answers, or the run loop for it. The state is exact in each case. */
export const REGION_STATUS = {
  /** Go on at state.pc. */
  left: 0,
  /** The instruction at state.pc needs its slow form. */
  bailed: 1,
  /** It was not entered: a page of it is not where it was. */
  refused: 2,
  /** As bailed, because the data TLB does not have the page of an access. */
  missed: 3,
  /** It was not entered: fewer instructions may be executed than it needs. */
  noBudget: 4,
  /** As bailed, because FP_GATE.fast is clear. */
  gated: 5,
} as const;
/** What its values fit into. */
export const REGION_STATUS_BITS = 3;

const align = (n: number, to: number): number => Math.ceil(n / to) * to;
const dtlbBytes = DTLB.entries * DTLB.entryBytes;
const ftlbBytes = FTLB.entries * FTLB.entryBytes;

/** Offsets of the tables in a vCPU's arena. */
export const ARENA = (() => {
  const dtlb = align(HART_STATE_BYTES, 4096);
  const ftlb = dtlb + dtlbBytes * DTLB.contexts;
  // Host offsets, u32.
  const tlbLog = ftlb + ftlbBytes * FTLB.contexts;
  const pageHash = tlbLog + align(TLB_LOG.tables * TLB_LOG.entries * 4, 64);
  const pages = pageHash + DECODED_PAGE.hashEntries * 8;
  // The decoded page for a guest page of which PMP lets only a part be executed; used for one stay in it at a time.
  const guardedPage = pages + DECODED_PAGE.pool * DECODED_PAGE.lengthBytes;
  const regions = align(guardedPage + DECODED_PAGE.lengthBytes, 64);
  const trace = regions + REGION.lengthBytes * REGION.count;
  const jumpCache = align(trace + (TRACE.length + 1) * TRACE.entryBytes, 64);
  const knownWords = jumpCache + JUMP_CACHE.entries * JUMP_CACHE.entryBytes;
  const profile = knownWords + KNOWN_WORDS.entries * KNOWN_WORDS.entryBytes;
  const jumpTargets = profile + PROFILE.lengthBytes;
  const offered = jumpTargets + PROFILE.jumpSets * PROFILE.jumpWays * PROFILE.targetBytes;
  const arrived = offered + PROFILE.offeredBits / 8;
  const lengthBytes = align(arrived + (TRACE.length + 2) * PROFILE.arrivedBytes, 65536);
  return {
    ...{
      dtlb,
      dtlbBytes,
      ftlb,
      ftlbBytes,
      tlbLog,
      pageHash,
      pages,
      guardedPage,
      regions,
      trace,
      jumpCache,
      knownWords,
      profile,
      jumpTargets,
      offered,
      arrived,
      lengthBytes,
    },
  } as const;
})();
