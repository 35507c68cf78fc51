/** Functions that run on a vCPU's thread: a worker loads them, so they are plain JavaScript. */

/** Sets a register and tells another. */
export function exchange(state, { write, value, read }) {
  state.set('x', value, write);
  return { hart: state.hart, value: state.get('x', read) };
}

export function fails() {
  throw new RangeError('not today');
}
