/** Makers of the files that loaders read. */

export interface ElfOptions {
  readonly entry?: number | bigint;
  readonly machine?: number;
  readonly class?: number;
  readonly data?: number;
  readonly type?: number;
  readonly segments?: readonly { vaddr?: bigint; paddr: number; bytes: Uint8Array; lengthBytes?: number }[];
  readonly symbols?: Readonly<Record<string, number>>;
}

/** A whole ELF64 file: header, program headers, contents, symbol and string table. */
export function makeElf(options: ElfOptions = {}): Uint8Array {
  const segments = options.segments ?? [
    { paddr: 0x8000_0000, bytes: new Uint8Array([0x13, 0, 0, 0]), lengthBytes: 16 },
  ];
  const symbols = Object.entries(options.symbols ?? {});
  const names = new TextEncoder().encode(`\0${symbols.map(([name]) => `${name}\0`).join('')}`);
  const contents = 64 + segments.length * 56;
  const symbolTable = contents + segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const stringTable = symbolTable + symbols.length * 24;
  const sections = stringTable + names.length;
  const file = new Uint8Array(sections + 3 * 64);
  const view = new DataView(file.buffer);
  const u64 = (at: number, value: number | bigint) => view.setBigUint64(at, BigInt(value), true);
  file.set([0x7f, 0x45, 0x4c, 0x46, options.class ?? 2, options.data ?? 1, 1]);
  file[4] = options.class ?? 2;
  view.setUint16(16, options.type ?? 2, true);
  view.setUint16(18, options.machine ?? 243, true);
  u64(24, options.entry ?? 0x8000_0000);
  u64(32, 64);
  u64(40, sections);
  view.setUint16(54, 56, true);
  view.setUint16(56, segments.length, true);
  view.setUint16(58, 64, true);
  view.setUint16(60, 3, true);
  let at = contents;
  segments.forEach(({ vaddr, paddr, bytes, lengthBytes }, index) => {
    const header = 64 + index * 56;
    view.setUint32(header, 1, true);
    [at, vaddr ?? paddr, paddr, bytes.length, lengthBytes ?? bytes.length].forEach((value, field) => {
      u64(header + 8 + field * 8, value);
    });
    file.set(bytes, at);
    at += bytes.length;
  });
  let nameAt = 1;
  symbols.forEach(([name, value], index) => {
    view.setUint32(symbolTable + index * 24, nameAt, true);
    u64(symbolTable + index * 24 + 8, value);
    nameAt += name.length + 1;
  });
  file.set(names, stringTable);
  const section = (index: number, type: number, offset: number, size: number, link: number) => {
    view.setUint32(sections + index * 64 + 4, type, true);
    u64(sections + index * 64 + 24, offset);
    u64(sections + index * 64 + 32, size);
    view.setUint32(sections + index * 64 + 40, link, true);
  };
  section(1, 2, symbolTable, symbols.length * 24, 2);
  section(2, 3, stringTable, names.length, 0);
  return file;
}

/** A Linux Image with its EFI header: one section that ends where the file ends. */
export function makeLinuxImage(
  options: { lengthBytes?: number; imageSize?: number; machine?: number; flags?: number } = {},
) {
  const file = new Uint8Array(options.lengthBytes ?? 4096);
  const view = new DataView(file.buffer);
  file.set(new TextEncoder().encode('MZ'));
  view.setBigUint64(8, 0x20_0000n, true);
  view.setBigUint64(16, BigInt(options.imageSize ?? 0x10_0000), true);
  view.setBigUint64(24, BigInt(options.flags ?? 0), true);
  file.set(new TextEncoder().encode('RISCV\0\0\0RSC\x05'), 48);
  view.setUint32(60, 64, true);
  file.set(new TextEncoder().encode('PE\0\0'), 64);
  view.setUint16(68, options.machine ?? 0x5064, true);
  view.setUint16(70, 1, true);
  view.setUint16(84, 0, true);
  view.setUint32(88 + 16, file.length - 1024, true);
  view.setUint32(88 + 20, 1024, true);
  return file;
}
