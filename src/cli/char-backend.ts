/** Where a console's bytes come from and go to on the host. Edge code: the devices never see it. */

export interface CharBackend {
  /** Takes all bytes; what the host cannot take is dropped by the back end, never by throwing. */
  write(bytes: Uint8Array): void;
  /** One listener; bytes come in order, in pieces of any length, none while paused. */
  onInput(listener: (bytes: Uint8Array) => void): void;
  /** The guest takes no more input for now; the host's side is left to wait. */
  pause(): void;
  resume(): void;
  /** Gives everything back: files closed, terminal modes restored. Doing it again changes nothing. */
  close(): void;
}

/** The machine's side of a console. */
export interface GuestConsole {
  /** @returns how many of the bytes were taken, from the first on */
  write(bytes: Uint8Array): number;
  /** Called when bytes can be taken again after some were refused; never from within write(). */
  onRoom(listener: () => void): void;
  /** What the guest sends. */
  readonly output: { subscribe(next: (bytes: Uint8Array) => void): { unsubscribe(): void } };
}

/**
 * Connects the two. Input goes in as fast as the guest takes it: what it refuses is held here, one piece at most,
 * while the back end is paused. @returns a function that ends the connection
 */
export function connectConsole(backend: CharBackend, guest: GuestConsole): () => void {
  let held: Uint8Array = new Uint8Array(0);
  const feed = (): void => {
    held = held.subarray(guest.write(held));
    if (held.length === 0) backend.resume();
    else backend.pause();
  };
  const output = guest.output.subscribe((bytes) => backend.write(bytes));
  guest.onRoom(() => {
    if (held.length > 0) feed();
  });
  backend.onInput((bytes) => {
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
    feed();
  });
  return () => output.unsubscribe();
}
