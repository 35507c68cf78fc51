import { TLB_LOG } from '../../src/hart/state.ts';

/** What a hart's state may differ in for being translated. */
export const TRANSLATOR_STATE: ReadonlySet<string> = new Set([
  'traceInterval',
  'traceDue',
  'later',
  'bias',
  'decodes',
  'traceLeft',
  'fetchEpoch',
  // Of the last slow path, cleared before the next: a region that is left may look an address up where the loop goes on.
  'status',
  // They mean nothing while an address is still to be fetched from.
  'op',
  'page',
  ...[0, 1, 2, 3, 4, 5].map((i) => `regionExits${i}`),
  // The last instruction that crossed a page and was not translated.
  ...['trapValue', 'crossingWord'],
  ...[0, 1, 2, 3].map((i) => `scratchOps${i}`),
  // Regions fill the data TLBs in another order, and some of their entries anew.
  ...Array.from({ length: TLB_LOG.tables }, (_, i) => `tlbFills${i}`),
]);
