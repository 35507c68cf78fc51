/** The keys behind Ctrl-A on a terminal, as with QEMU's -nographic; everything else goes to the guest. */

const escapeByte = 0x01;

export type EscapeAction = 'quit' | 'save' | 'help';

/** The key after Ctrl-A -> what it does. Ctrl-A itself is sent once, keys that are not here are swallowed. */
const actions: Readonly<Record<string, EscapeAction>> = { x: 'quit', s: 'save', h: 'help', '?': 'help' };

export const escapeHelp = [
  '',
  'Ctrl-A X    quit',
  'Ctrl-A S    save the machine to the file that --save names',
  'Ctrl-A H    this help',
  'Ctrl-A A    send Ctrl-A to the guest (also Ctrl-A Ctrl-A)',
  '',
].join('\r\n');

/** A filter with the one bit of state: whether the last byte was Ctrl-A. */
export function createEscapeKeys(onAction: (action: EscapeAction) => void): (bytes: Uint8Array) => Uint8Array {
  let escaped = false;
  return (bytes) => {
    const forwarded: number[] = [];
    for (const byte of bytes) {
      if (!escaped) {
        if (byte === escapeByte) escaped = true;
        else forwarded.push(byte);
        continue;
      }
      escaped = false;
      const key = String.fromCharCode(byte).toLowerCase();
      const action = actions[key];
      if (action !== undefined) onAction(action);
      else if (key === 'a' || byte === escapeByte) forwarded.push(escapeByte);
    }
    return Uint8Array.from(forwarded);
  };
}
