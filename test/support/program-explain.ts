/** Puts into words how two machines' memory differs after one program: log records, signature registers, trace. */
import { disassemble } from '../../src/isa/disasm.ts';
import { SIGNATURE_NAMES } from './program-handlers.ts';
import { LAYOUT, PROGRAM_BASE, REGION_BYTES, type TestProgram } from './program-layout.ts';

const RECORD_FIELDS = ['cause', 'epc', 'tval', 'status'] as const;
const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** The trap log first: it says earliest where the machines parted. Empty if there is no difference. */
export function explain(program: TestProgram, ours: Uint8Array, theirs: Uint8Array): string[] {
  if (Buffer.compare(ours, theirs) === 0) return [];
  const a = new DataView(ours.buffer, ours.byteOffset);
  const b = new DataView(theirs.buffer, theirs.byteOffset);
  const lines: string[] = [];
  for (const log of [LAYOUT.machineLog, LAYOUT.supervisorLog]) lines.push(...firstRecord(program, a, b, log));
  for (let at = 0; at < ours.length; at += 8) {
    const left = a.getBigUint64(at, true);
    const right = b.getBigUint64(at, true);
    if (left !== right && !(at >= LAYOUT.machineLog && at < LAYOUT.tables)) {
      lines.push(`${nameOf(at)}: ${hex(left)} / ${hex(right)}`);
    }
  }
  return lines;
}

/** The instruction behind a mapped pc. */
export function instructionAt(program: TestProgram, pc: bigint): string {
  const offset = Number(pc % BigInt(REGION_BYTES));
  if (offset + 4 > program.image.length) return 'outside';
  const view = new DataView(program.image.buffer, program.image.byteOffset);
  return disassemble(view.getUint32(offset, true), pc);
}

function firstRecord(program: TestProgram, a: DataView, b: DataView, log: number): string[] {
  for (let at = log; at < log + LAYOUT.logBytes; at += 32) {
    const differs = [0, 8, 16, 24].some((i) => a.getBigUint64(at + i, true) !== b.getBigUint64(at + i, true));
    if (!differs) continue;
    const fields = RECORD_FIELDS.map((name, i) => {
      const left = a.getBigUint64(at + 8 * i, true);
      const right = b.getBigUint64(at + 8 * i, true);
      return left === right ? `${name} ${hex(left)}` : `${name} ${hex(left)} / ${hex(right)}`;
    });
    const where = [a, b].map((view) => instructionAt(program, view.getBigUint64(at + 8, true))).join(' / ');
    return [`${log === LAYOUT.machineLog ? 'M' : 'S'} trap ${(at - log) / 32}: ${fields.join(', ')}: ${where}`];
  }
  return [];
}

function nameOf(at: number): string {
  if (at >= LAYOUT.signature && at < LAYOUT.returns) return SIGNATURE_NAMES[(at - LAYOUT.signature) / 8] ?? 'signature';
  if (at >= LAYOUT.save && at < LAYOUT.supervisorSave) {
    const section = Math.floor((at - LAYOUT.save) / LAYOUT.saveBytes);
    const register = ((at - LAYOUT.save) % LAYOUT.saveBytes) / 8;
    return `section ${section}: ${register < 32 ? `x${register}` : `f${register - 32} (at its start)`}`;
  }
  const address = hex(PROGRAM_BASE + BigInt(at));
  if (at >= LAYOUT.trace && at < LAYOUT.traceEnd) return `trace ${address} (${at % 16 === 0 ? 'result' : 'fcsr'})`;
  return `[${address}]`;
}
