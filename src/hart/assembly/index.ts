/** What the runtime module exports; the interpreter's generated code imports it by these names. */

export { clmul, clmulh, clmulr } from './clmul';
export { csr } from './csr';
export { decode, decodeWord } from './decode';
export { dropWriteTags } from './dirty';
export { fenceAddresses, sfenceVma } from './fence';
export { copied, fenceI, fetch, fetchCrossing, instructionAt, regionIsInPlace } from './fetch';
export * from './float-d';
export * from './float-h';
export * from './float-s';
export { requireFp } from './fp-require';
export { init, layoutHash } from './hart';
export { receiveMsi } from './imsic';
export { interrupts, pendingInterrupts, setInterruptLine, updateTimers, wrs } from './interrupts';
export {
  amo,
  cboClean,
  cboFlush,
  cboInval,
  cboZero,
  loadMemory as load,
  loadReserved,
  refillToRead,
  refillToWrite,
  storeConditional,
  storeMemory as store,
} from './memory';
export { flushTlb } from './mmu';
export { forgetArrivals, heat, jumpTargets, offer, seeTrace } from './profile';
export { afterLoad, reset } from './reset';
export { takeSignals } from './signals';
export { readTime } from './time';
export { ebreak, ecall, illegal, mret, sret, trap } from './trap';
export { pause, stall, wfi } from './yield';
