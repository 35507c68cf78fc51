/**
 * The assembler's pseudo-instructions, as what they stand for (RISC-V Assembly Programmer's Manual). `li` is in asm.ts'
 * hands through `loadImmediate`, since its length depends on the value.
 */

/** `mnemonic/number of operands`; `$0` is the first operand. */
const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  'nop/0': ['addi zero, zero, 0'],
  'fence/0': ['fence iorw, iorw'],
  'unimp/0': ['csrrw zero, cycle, zero'],
  'la/2': ['auipc $0, %pcrel_hi($1)', 'addi $0, $0, %pcrel_lo_of_previous($1)'],
  'lla/2': ['auipc $0, %pcrel_hi($1)', 'addi $0, $0, %pcrel_lo_of_previous($1)'],
  'call/1': ['auipc ra, %pcrel_hi($0)', 'jalr ra, %pcrel_lo_of_previous($0)(ra)'],
  'tail/1': ['auipc t1, %pcrel_hi($0)', 'jalr zero, %pcrel_lo_of_previous($0)(t1)'],
  'ret/0': ['jalr zero, 0(ra)'],
  'j/1': ['jal zero, $0'],
  'jal/1': ['jal ra, $0'],
  'jr/1': ['jalr zero, $0'],
  'jalr/1': ['jalr ra, $0'],
  'jalr/3': ['jalr $0, $2($1)'],

  'mv/2': ['addi $0, $1, 0'],
  'not/2': ['xori $0, $1, -1'],
  'neg/2': ['sub $0, zero, $1'],
  'negw/2': ['subw $0, zero, $1'],
  'sext.w/2': ['addiw $0, $1, 0'],
  'zext.b/2': ['andi $0, $1, 255'],
  'zext.w/2': ['add.uw $0, $1, zero'],
  'seqz/2': ['sltiu $0, $1, 1'],
  'snez/2': ['sltu $0, zero, $1'],
  'sltz/2': ['slt $0, $1, zero'],
  'sgtz/2': ['slt $0, zero, $1'],

  'beqz/2': ['beq $0, zero, $1'],
  'bnez/2': ['bne $0, zero, $1'],
  'blez/2': ['bge zero, $0, $1'],
  'bgez/2': ['bge $0, zero, $1'],
  'bltz/2': ['blt $0, zero, $1'],
  'bgtz/2': ['blt zero, $0, $1'],
  'bgt/3': ['blt $1, $0, $2'],
  'ble/3': ['bge $1, $0, $2'],
  'bgtu/3': ['bltu $1, $0, $2'],
  'bleu/3': ['bgeu $1, $0, $2'],

  'csrr/2': ['csrrs $0, $1, zero'],
  'csrw/2': ['csrrw zero, $0, $1'],
  'csrs/2': ['csrrs zero, $0, $1'],
  'csrc/2': ['csrrc zero, $0, $1'],
  'csrwi/2': ['csrrwi zero, $0, $1'],
  'csrsi/2': ['csrrsi zero, $0, $1'],
  'csrci/2': ['csrrci zero, $0, $1'],
  'rdcycle/1': ['csrrs $0, cycle, zero'],
  'rdtime/1': ['csrrs $0, time, zero'],
  'rdinstret/1': ['csrrs $0, instret, zero'],
  'frcsr/1': ['csrrs $0, fcsr, zero'],
  'fscsr/1': ['csrrw zero, fcsr, $0'],
  'fscsr/2': ['csrrw $0, fcsr, $1'],
  'frrm/1': ['csrrs $0, frm, zero'],
  'fsrm/1': ['csrrw zero, frm, $0'],
  'fsrm/2': ['csrrw $0, frm, $1'],
  'fsrmi/1': ['csrrwi zero, frm, $0'],
  'frflags/1': ['csrrs $0, fflags, zero'],
  'fsflags/1': ['csrrw zero, fflags, $0'],
  'fsflags/2': ['csrrw $0, fflags, $1'],
  'fsflagsi/1': ['csrrwi zero, fflags, $0'],

  // Zihintntl and Zicbop: HINTs.
  'ntl.p1/0': ['add zero, zero, x2'],
  'ntl.pall/0': ['add zero, zero, x3'],
  'ntl.s1/0': ['add zero, zero, x4'],
  'ntl.all/0': ['add zero, zero, x5'],
  'c.ntl.p1/0': ['c.add zero, x2'],
  'c.ntl.pall/0': ['c.add zero, x3'],
  'c.ntl.s1/0': ['c.add zero, x4'],
  'c.ntl.all/0': ['c.add zero, x5'],
};

const FLOAT_TEMPLATES: Readonly<Record<string, string>> = {
  'fmv/2': 'fsgnj.% $0, $1, $1',
  'fneg/2': 'fsgnjn.% $0, $1, $1',
  'fabs/2': 'fsgnjx.% $0, $1, $1',
  'fgt/3': 'flt.% $0, $2, $1',
  'fge/3': 'fle.% $0, $2, $1',
  'fgtq/3': 'fltq.% $0, $2, $1',
  'fgeq/3': 'fleq.% $0, $2, $1',
};

const PREFETCHES: Readonly<Record<string, number>> = { 'prefetch.i': 0, 'prefetch.r': 1, 'prefetch.w': 3 };

function prefetch(kind: number, operand: string): readonly string[] {
  const [, offset, base] = /^(.*)\((\w+)\)$/.exec(operand) ?? [];
  if (offset === undefined) throw new Error(`'${operand}' is no address of the form offset(register)`);
  return [`ori zero, ${base}, (${offset || '0'}) + ${kind}`];
}

/** The statements a pseudo-instruction stands for; null if there is none of that name and number of operands. */
export function expandPseudo(name: string, args: readonly string[]): readonly string[] | null {
  const kind = PREFETCHES[name];
  if (kind !== undefined && args[0] !== undefined) return prefetch(kind, args[0]);
  const [, stem = '', format = ''] = /^(\w+)\.([hsd])$/.exec(name) ?? [];
  const float = FLOAT_TEMPLATES[`${stem}/${args.length}`];
  const lines = float === undefined ? TEMPLATES[`${name}/${args.length}`] : [float.replace('%', format)];
  return lines?.map((line) => line.replace(/\$(\d)/g, (_, index) => args[Number(index)] ?? '')) ?? null;
}

/**
 * The shortest of the usual sequences that put a 64-bit constant into a register: lui and addiw for the upper part,
 * then shifts and additions of twelve bits each.
 */
export function loadImmediate(register: string, constant: bigint): readonly string[] {
  const value = BigInt.asIntN(64, constant);
  const low = BigInt.asIntN(12, value);
  if (value === low) return [`addi ${register}, zero, ${value}`];
  if (BigInt.asIntN(32, value) === value) {
    const lui = `lui ${register}, ${((value - low) >> 12n) & 0xfffffn}`;
    return low === 0n ? [lui] : [lui, `addiw ${register}, ${register}, ${low}`];
  }
  let upper = BigInt.asIntN(52, (value - low) >> 12n);
  let shift = 12;
  while ((upper & 1n) === 0n) {
    upper >>= 1n;
    shift++;
  }
  const lines = [...loadImmediate(register, upper), `slli ${register}, ${register}, ${shift}`];
  return low === 0n ? lines : [...lines, `addi ${register}, ${register}, ${low}`];
}
