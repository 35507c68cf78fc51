/**
 * A register table: what a device file declares once, and what its handlers, its documentation and the tests derive
 * from. Not modelled: fields inside a register (a device names its bits beside its handlers).
 */

/** How the guest may use a register. `w1c`: writing ones clears. */
export type RegisterAccess = 'rw' | 'ro' | 'wo' | 'w1c';

export interface RegisterRow {
  /** Bytes from the window's start; of the first element where `count` is given. */
  readonly offset: number;
  readonly widthBytes: 1 | 2 | 4 | 8;
  readonly access: RegisterAccess;
  readonly doc: string;
  /** Elements of a register array; one when absent. */
  readonly count?: number;
  /** Distance between elements; the width when absent. */
  readonly strideBytes?: number;
}

export type RegisterTable = Readonly<Record<string, RegisterRow>>;

/** Checks the table's types and keeps its names literal. */
export function registerTable<const T extends RegisterTable>(table: T): T {
  return table;
}

/** The table as Markdown, in its own order; offsets in hexadecimal. */
export function registerTableMarkdown(table: RegisterTable): string {
  const lines = ['| offset | register | width | access | meaning |', '|---|---|---|---|---|'];
  for (const [name, row] of Object.entries(table)) {
    const stride = row.strideBytes ?? row.widthBytes;
    const offset = row.count === undefined ? hex(row.offset) : `${hex(row.offset)} + ${hex(stride)} * n`;
    const label = row.count === undefined ? name : `${name}[${row.count}]`;
    lines.push(`| ${offset} | ${label} | ${row.widthBytes} | ${row.access} | ${row.doc} |`);
  }
  return `${lines.join('\n')}\n`;
}

/** Index of the array element that starts exactly at `offset`, or -1 when the offset is none of the row's. */
export function elementAt(row: RegisterRow, offset: number): number {
  const stride = row.strideBytes ?? row.widthBytes;
  const distance = offset - row.offset;
  if (distance < 0 || distance % stride !== 0) return -1;
  const index = distance / stride;
  return index < (row.count ?? 1) ? index : -1;
}

const hex = (value: number) => `0x${value.toString(16)}`;
