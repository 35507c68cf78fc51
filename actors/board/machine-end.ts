/** How a guest ends its machine: what the board reports and what `vm.finished` settles with. Types only. */

export interface MachineEnd {
  /** `fail` and `panic` are the guest's: a program that ended with a code, a kernel that gave up. */
  readonly kind: 'poweroff' | 'reboot' | 'fail' | 'panic';
  /** The guest's own code; 0 for poweroff and reboot, 1 for a panic. */
  readonly code: number;
}
