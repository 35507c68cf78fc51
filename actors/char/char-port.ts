/** A character device's two ends of a byte stream: what a UART, or HTIF's console, writes to and reads from. */

/** The near end of a character back end. Neither method waits; a CharEvent says when to try again. */
export interface CharPort {
  /** @returns false when the back end is full: the byte is not taken, `char.writable` follows when there is room */
  write(byte: number): boolean;
  /** Takes the next byte of input, or gives -1 when there is none: `char.readable` follows when there is */
  read(): number;
}

/** What a character back end tells the device in front of it. */
export type CharEvent = { readonly type: 'char.readable' } | { readonly type: 'char.writable' };
