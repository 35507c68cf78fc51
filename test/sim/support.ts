/** Deterministic machines for tests, and what is compared of their runs. */
import type { Vm, VmDeterministic, VmOptions } from '../../src/index.ts';
import { bare, within } from '../support/machines.ts';

const RAM_BYTES = 4 * 2 ** 20;

/** Two harts that are about to run a program in M mode. */
export function simulated(source: string, options: VmOptions): Promise<Vm> {
  return bare(source, { ramBytes: RAM_BYTES, harts: 2, ...options });
}

export function runOf(vm: Vm): VmDeterministic {
  if (vm.deterministic === null) throw new Error('the machine has threads');
  return vm.deterministic;
}

/** Everything that two equal runs have in common. */
export function traceOf(vm: Vm): object {
  const { steps, instructions, timeNs, logHash } = runOf(vm);
  return { steps, instructions, timeNs, logHash, ram: String(vm.memory.hash()), state: vm.state };
}

/** Runs a program to its end. */
export async function runToEnd(source: string, options: VmOptions) {
  const vm = await simulated(source, options);
  let printed = '';
  vm.console.output.subscribe((bytes) => {
    printed += Buffer.from(bytes).toString('latin1');
  });
  vm.start();
  const end = await within(10_000, 'the end', vm.finished);
  const trace = { ...traceOf(vm), end, printed };
  await vm.stop();
  return trace;
}

/** Ends the machine with the finisher's word in t2. */
export const FINISH = `
  li t0, TEST
  sw t2, 0(t0)
stand:
  wfi
  j stand
`;

/** Each hart reads clocks of both kinds, waits for its timer and prints; the first ends it when all are done. */
export const BUSY = `
  csrr s3, mhartid
  la s4, readings
  slli t0, s3, 12
  add s4, s4, t0
  li s5, 20
  li t0, 0x80
  csrw mie, t0
again:
  rdtime t0
  sd t0, 0(s4)
  li t1, RTC
  lw t2, 0(t1)
  sd t2, 8(s4)
  addi s4, s4, 16
  li t1, CLINT + 0x4000
  slli t2, s3, 3
  add t1, t1, t2
  addi t0, t0, 500
  sd t0, 0(t1)
  wfi
  li t1, UART
  addi t0, s3, 'a'
  sb t0, 0(t1)
  addi s5, s5, -1
  bnez s5, again
  la s2, done
  li t0, 1
  amoadd.w.aqrl zero, t0, (s2)
  bnez s3, stand
others:
  lw t0, 0(s2)
  li t1, 2
  bne t0, t1, others
  li t2, 0x5555
${FINISH}
.align 3
done: .dword 0
.align 12
readings:
`;

/** Counts for ever in RAM, 8 KiB behind its start. */
export const COUNTING = `
  csrr t0, mhartid
  li s0, RAM + 0x2000
  slli t0, t0, 3
  add s0, s0, t0
again:
  ld t0, 0(s0)
  addi t0, t0, 1
  sd t0, 0(s0)
  j again
`;
