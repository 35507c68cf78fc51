/**
 * Device output is ordered by fences (RISC-V Unprivileged ISA, 2.7): what a hart wrote to a device before it gave a lock
 * away is there when the next hart that has the lock reads the device, whichever threads the two and the device live on.
 */
import { describe, expect, it } from 'vitest';
import type { VmOptions } from '../../src/index.ts';
import { bare, within } from '../support/machines.ts';

/** Registers that keep what is written to them: beside the first hart, and on the main loop. */
const REGISTERS = [
  ['the scratch register of the UART, beside the first hart', 'UART + 7', 'lbu', 'sb'],
  ['an alarm register of the RTC, on the main loop', 'RTC + 0x0c', 'lwu', 'sw'],
] as const;

/** What a hart does while it has the lock. */
interface Turn {
  /** Its address comes to s4. */
  readonly register: string;
  /** Reads it into t2. */
  readonly look: string;
  /** Goes to `same` where that is as t3 says, which the one before has left. */
  readonly wanted: string;
  /** Writes it, and what the next one is to find to t3. */
  readonly change: string;
}

/** Harts that take turns under a lock. Ends with the mismatches. */
const program = ({ register, look, wanted, change }: Turn, harts: number, turns: number) => `
  li s0, RAM + 0x1000            # lock
  li s1, RAM + 0x1040            # what the one that has it leaves to the next
  li s2, RAM + 0x1080            # mismatches
  li s3, RAM + 0x10c0            # harts that are done
  li s4, ${register}
  li s5, ${turns}
turn:
  li t0, 1
take:
  amoswap.w t1, t0, (s0)
  beqz t1, taken
  pause
  j take
taken:
  fence r, iorw
  ${look}
  lw t3, 0(s1)
  ${wanted}
  lw t4, 0(s2)
  addi t4, t4, 1
  sw t4, 0(s2)
same:
  ${change}
  sw t3, 0(s1)
  fence o, w
  fence rw, w
  sw zero, 0(s0)
  addi s5, s5, -1
  bnez s5, turn
  li t0, 1
  amoadd.w t1, t0, (s3)
  csrr t0, mhartid
park:
  bnez t0, park
all:
  fence
  lw t1, 0(s3)
  li t2, ${harts}
  bne t1, t2, all
  lw t1, 0(s2)
  li t2, 0x5555
  beqz t1, end
  li t2, 0x13333
end:
  li t0, TEST
  sw t2, 0(t0)
  j park
`;

/** The register has what the last one wrote there; then it is the next number's. */
const numbers = (register: string, load: string, store: string): Turn => ({
  register,
  look: `${load} t2, 0(s4)`,
  wanted: 'beq t2, t3, same',
  change: `addi t3, t3, 1; andi t3, t3, 0x7f; ${store} t3, 0(s4)`,
});

/**
 * The line status is as the one before left it, by turns a byte that came back in loopback, and room to write. Whoever leaves
 * the latter has an answer that would stand.
 */
const lineStatus: Turn = {
  register: 'UART',
  look: 'lbu t2, 5(s4)',
  wanted: `
  addi t1, t3, 0x60
  beq t1, t2, same`,
  change: `
  li t0, '.'
  li t2, 0x10                    # MCR: loopback
  bnez t3, open
  sb t2, 4(s4)
  sb t0, 0(s4)
  j leave
open:
  lbu t1, 0(s4)
  sb zero, 4(s4)
  lbu t1, 5(s4)                  # for what was written before
  lbu t1, 5(s4)                  # this one stands
  sb t0, 0(s4)
leave:
  xori t3, t3, 1`,
};

async function mismatches(source: string, options: VmOptions): Promise<number> {
  const vm = await bare(source, options);
  vm.start();
  const { code } = (await within(60_000, 'the end', vm.finished)) as { code: number };
  await vm.stop();
  return code;
}

describe.each(REGISTERS)('%s', (_what, register, load, store) => {
  it.each([2, 3, 4])('shows each of %i harts what the one before it wrote', async (harts) => {
    expect(await mismatches(program(numbers(register, load, store), harts, 1_000), { harts })).toBe(0);
  });

  it('does so under every schedule', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      expect(await mismatches(program(numbers(register, load, store), 3, 40), { harts: 3, seed }), `seed ${seed}`).toBe(
        0,
      );
    }
  });
});

describe('the line status of the UART', () => {
  it.each([2, 3, 4])('is of now for each of %i harts, asked for or not', async (harts) => {
    expect(await mismatches(program(lineStatus, harts, 1_000), { harts })).toBe(0);
  });

  it('is so under every schedule', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      expect(await mismatches(program(lineStatus, 3, 40), { harts: 3, seed }), `seed ${seed}`).toBe(0);
    }
  });

  it('is asked for once in some hundred bytes by a hart on another thread that prints', async () => {
    const bytes = 5_000;
    const vm = await bare(
      `csrr t0, mhartid
       beqz t0, rest
       li s0, UART
       li s1, ${bytes}
       li t1, 'x'
     print:
       lbu t0, 5(s0)
       andi t0, t0, 0x20
       beqz t0, print
       sb t1, 0(s0)
       addi s1, s1, -1
       bnez s1, print
       fence o, w
       li t0, TEST
       li t1, 0x5555
       sw t1, 0(t0)
     rest:
       wfi
       j rest`,
      { harts: 2, seed: 1 },
    );
    let printed = 0;
    vm.console.output.subscribe((piece) => {
      printed += piece.length;
    });
    let answers = 0;
    vm.deterministic?.log.subscribe(({ where, name }) => {
      if (where === 'vcpu1' && name === 'vcpu0 words reply') answers += 1;
    });
    vm.start();
    await within(60_000, 'the end', vm.finished);
    expect(printed).toBe(bytes);
    expect(answers).toBeGreaterThan(bytes / 256);
    expect(answers).toBeLessThan(bytes / 128);
  });
});
