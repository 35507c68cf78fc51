/** What a hart's state may differ in for being translated. */
export const TRANSLATOR_STATE: ReadonlySet<string> = new Set([
  'traceInterval',
  'traceDue',
  'later',
  'traceLeft',
  'regionsRemoved',
  'op',
  'page',
  ...[0, 1, 2, 3, 4, 5].map((i) => `regionExits${i}`),
]);
