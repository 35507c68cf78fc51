/** Programs without firmware: how they end, what they print, what they find when they begin. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/isa/asm.ts';
import { makeElf } from '../boot-loaders/files.ts';
import { bare, machine, program, RAM_BASE, within } from '../support/machines.ts';
import { hasTool, skipReason } from '../support/tools.ts';

/** Writes a word to the test finisher, and waits. */
const finish = (word: number): string => `
    li t0, TEST
    li t1, ${word}
    sw t1, 0(t0)
  wait: j wait
`;

describe('the test finisher', () => {
  it.each([
    ['pass', 0x5555, { kind: 'poweroff', code: 0 }],
    ['fail with a code', (42 << 16) | 0x3333, { kind: 'fail', code: 42 }],
    ['the largest code', 0xffff_3333, { kind: 'fail', code: 65535 }],
  ] as const)('%s', async (_what, word, end) => {
    const vm = await bare(finish(word));
    vm.start();
    expect(await within(5000, 'the end', vm.finished)).toEqual(end);
    expect(vm.state).toBe('shutdown');
  });

  it('reset begins anew, with RAM as it was', async () => {
    const source = `
      la s1, flag
      ld t0, 0(s1)
      bnez t0, wrong
      li t0, 1
      sd t0, 0(s1)
      li s2, UART
      li t0, 'r'
      sb t0, 0(s2)
      ${finish(0x7777)}
    wrong:
      li t0, TEST
      li t1, 0x13333
      sw t1, 0(t0)
      j wait
    .align 3
    flag: .dword 0
    `;
    const vm = await bare(source);
    vm.start();
    await vm.console.expect('rrr', { timeoutMs: 5000 });
    expect(vm.state).not.toBe('shutdown');
  });

  it('reset ends a machine that is not to reboot', async () => {
    const vm = await bare(finish(0x7777), { noReboot: true });
    vm.start();
    expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'reboot', code: 0 });
  });

  it('the first end counts', async () => {
    const vm = await bare(`
      li t0, TEST
      li t1, 0x73333
      li t2, 0x5555
      sw t1, 0(t0)
    again:
      sw t2, 0(t0)
      j again
    `);
    vm.start();
    expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'fail', code: 7 });
  });
});

describe('what M mode finds', () => {
  it('Svadu: page tables without A and D will do', async () => {
    // One page of a gigabyte around RAM, then a store from S mode to its end: the leaf then has A and D.
    const source = `
      li t0, -1
      csrw pmpaddr0, t0
      li t0, 0x1f
      csrw pmpcfg0, t0
      la t0, table
      li t1, ${(RAM_BASE / 4096) * 1024 + 0xf}
      sd t1, 16(t0)
      srli t1, t0, 12
      li t2, 8 << 60
      or t1, t1, t2
      csrw satp, t1
      la t1, supervisor
      csrw mepc, t1
      la t1, trapped
      csrw mtvec, t1
      li t1, 3 << 11
      csrc mstatus, t1
      li t1, 1 << 11
      csrs mstatus, t1
      mret
    supervisor:
      sd zero, 24(t0)
      ecall
    .align 2
    trapped:
      csrr t2, mcause
      li t1, 9
      bne t1, t2, wrong
      ld t1, 16(t0)
      andi t1, t1, 0xff
      li t2, 0xcf
      bne t1, t2, wrong
      ${finish(0x5555)}
    wrong:
      slli t2, t2, 16
      li t1, 0x3333
      or t1, t1, t2
      li t0, TEST
      sw t1, 0(t0)
      j wait
    .align 12
    table: .zero 4096
    `;
    const vm = await bare(source);
    vm.start();
    expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
  });
});

describe('HTIF', () => {
  const htif = (source: string) => {
    const { bytes, symbols } = assemble(source, { base: RAM_BASE });
    const tohost = Number(symbols.get('tohost'));
    return makeElf({ segments: [{ paddr: RAM_BASE, bytes, lengthBytes: bytes.length }], symbols: { tohost } });
  };

  it.each([
    [1, { kind: 'poweroff', code: 0 }],
    [(3 << 1) | 1, { kind: 'fail', code: 3 }],
  ] as const)('ends with %d', async (word, end) => {
    const kernel = htif(`
      la t0, tohost
      li t1, ${word}
      sd t1, 0(t0)
    wait: j wait
    .align 6
    tohost: .dword 0
    `);
    const vm = await machine({ bios: 'none', kernel });
    vm.start();
    expect(await within(5000, 'the end', vm.finished)).toEqual(end);
  });

  it('prints', async () => {
    const kernel = htif(`
      la s0, tohost
      la s1, text
    next:
      lbu t0, 0(s1)
      beqz t0, done
      addi s1, s1, 1
      li t1, 0x0101000000000000
      or t1, t1, t0
      sd t1, 0(s0)
    busy:
      ld t1, 0(s0)
      bnez t1, busy
      j next
    done:
      li t1, 1
      sd t1, 0(s0)
    wait: j wait
    text: .asciz "by mailbox"
    .align 6
    tohost: .dword 0
    `);
    const vm = await machine({ bios: 'none', kernel });
    vm.start();
    await vm.console.expect('by mailbox', { timeoutMs: 5000 });
    await within(5000, 'the end', vm.finished);
  });

  const tool = 'gcc-riscv64-unknown-elf';
  it.skipIf(!hasTool(tool))(`takes what gcc links ${hasTool(tool) ? '' : skipReason(tool)}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bottomhalf-'));
    try {
      const source = join(folder, 'main.c');
      writeFileSync(
        source,
        `volatile unsigned long tohost __attribute__((aligned(64)));
         void _start(void) { unsigned n = 0; for (unsigned i = 1; i <= 10; i++) n += i; tohost = n << 1 | 1; for (;;); }`,
      );
      const flags = ['-march=rv64gc', '-mabi=lp64d', '-mcmodel=medany', '-O1', '-nostdlib', '-nostartfiles'];
      execFileSync('riscv64-unknown-elf-gcc', [
        ...flags,
        '-Wl,-N,--build-id=none,-Ttext=0x80000000',
        '-o',
        join(folder, 'main'),
        source,
      ]);
      const vm = await machine({ bios: 'none', kernel: new Uint8Array(readFileSync(join(folder, 'main'))) });
      vm.start();
      expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'fail', code: 55 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a program that polls the UART', () => {
  it('prints, and sends back every byte it is sent', async () => {
    const vm = await bare(`
      li s0, UART
      la s1, text
    print:
      lbu a0, 0(s1)
      beqz a0, echo
      addi s1, s1, 1
      call send
      j print
    echo:
      lbu t0, 5(s0)
      andi t0, t0, 1
      beqz t0, echo
      lbu a0, 0(s0)
      call send
      j echo
    send:
      lbu t0, 5(s0)
      andi t0, t0, 0x20
      beqz t0, send
      sb a0, 0(s0)
      ret
    text: .asciz "ready\\n"
    `);
    vm.start();
    await vm.console.expect('ready\n', { timeoutMs: 5000 });
    const text = Array.from({ length: 2000 }, (_, i) => `${i} `).join('');
    expect(vm.console.write(text)).toBe(text.length);
    expect(await vm.console.expect('1999 ', { timeoutMs: 10_000 })).toBe(text);
  });

  it('is told when more is typed than waits for it', async () => {
    const vm = await bare('wait: j wait');
    vm.start();
    expect(vm.console.write('x'.repeat(100_000))).toBeLessThan(100_000);
  });
});

it('a hart begins with its number and the device tree', async () => {
  const vm = await bare(`
    lwu t0, 0(a1)
    li t1, 0xedfe0dd0     # big-endian d00dfeed
    bne t0, t1, wrong
    csrr t0, mhartid
    bne t0, a0, wrong
    ${finish(0x5555)}
  wrong:
    li t0, TEST
    li t1, 0x13333
    sw t1, 0(t0)
    j wait
  `);
  vm.start();
  expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
});

it('a program in S mode on the built-in SBI prints and powers off', async () => {
  const { bytes } = assemble(
    `
    li a7, 0x4442434E     # DBCN, write byte
    li a6, 2
    li a0, 'S'
    ecall
    li a7, 0x53525354     # SRST, shutdown
    li a6, 0
    li a0, 0
    li a1, 0
    ecall
  wait: j wait
  `,
    { base: RAM_BASE + 0x20_0000 },
  );
  const vm = await machine({ kernel: bytes });
  vm.start();
  await vm.console.expect('S', { timeoutMs: 5000 });
  expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'poweroff', code: 0 });
});

it('a shutdown because of a system failure is a panic', async () => {
  const { bytes } = assemble('li a7, 0x53525354\nli a6, 0\nli a0, 0\nli a1, 1\necall\nwait: j wait', {
    base: RAM_BASE + 0x20_0000,
  });
  const vm = await machine({ kernel: bytes });
  vm.start();
  expect(await within(5000, 'the end', vm.finished)).toEqual({ kind: 'panic', code: 1 });
  expect(vm.state).toBe('guest-panicked');
});

it('programs are at the start of RAM', async () => {
  const vm = await bare('wait: j wait');
  vm.start();
  expect(vm.memory.read(RAM_BASE, 4)).toEqual(program('wait: j wait'));
});
