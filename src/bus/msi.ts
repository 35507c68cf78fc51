/** The way of a message-signalled interrupt: from any thread straight to the interrupt file of the hart it names. */

/** Sends message-signalled interrupts (PCI Local Bus 3.0, 6.8; RISC-V AIA 1.0, chapter 3). */
export interface MsiPort {
  /**
   * A write of `data` to the guest-physical address `gpa`, 4 bytes, little-endian.
   * @returns false when no interrupt file lies there: the write is an ordinary one, or a bus error
   */
  send(gpa: number, data: number): boolean;
}
