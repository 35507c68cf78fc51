/**
 * The physical layout of board `virt`: address, length, device, interrupt. Address space, wiring, device tree and the
 * documented memory map all derive from this table.
 * Source: QEMU's hw/riscv/virt.c (virt_memmap and the interrupt numbers in virt.h), so that the same kernels, firmware
 * and device trees run.
 *
 * Rows marked `reserved` keep their addresses for devices that do not exist yet; they are in no device tree, and an
 * access to them is a bus fault.
 */

export interface VirtRow {
  readonly base: number;
  readonly lengthBytes: number;
  readonly use: 'device' | 'rom' | 'ram' | 'reserved';
  /** PLIC source, where the device has one. */
  readonly irq?: number;
  readonly doc: string;
}

/** DRAM's length is the machine's choice, between these. Less holds no firmware and kernel. */
export const RAM_MIN_BYTES = 4 * 2 ** 20;
/** Guest RAM and its bookkeeping share one WebAssembly memory of 4 GiB. The table gives this length. */
export const RAM_MAX_BYTES = 3.5 * 2 ** 30;
export const RAM_DEFAULT_BYTES = 512 * 2 ** 20;

export const virtTable = {
  debug: { base: 0x0, lengthBytes: 0x100, use: 'reserved', doc: 'debug module' },
  mrom: { base: 0x1000, lengthBytes: 0xf000, use: 'rom', doc: 'reset vector and fw_dynamic information' },
  test: {
    base: 0x10_0000,
    lengthBytes: 0x1000,
    use: 'device',
    doc: 'SiFive test finisher; syscon for poweroff and reboot',
  },
  rtc: { base: 0x10_1000, lengthBytes: 0x1000, use: 'device', irq: 11, doc: 'Goldfish real-time clock' },
  clint: { base: 0x200_0000, lengthBytes: 0x1_0000, use: 'device', doc: 'ACLINT in the CLINT layout' },
  aclintSswi: { base: 0x2f0_0000, lengthBytes: 0x4000, use: 'reserved', doc: 'ACLINT supervisor software interrupts' },
  pciePio: { base: 0x300_0000, lengthBytes: 0x1_0000, use: 'device', doc: 'PCI Express port I/O' },
  platformBus: { base: 0x400_0000, lengthBytes: 0x200_0000, use: 'reserved', doc: 'platform bus' },
  plic: { base: 0xc00_0000, lengthBytes: 0x60_0000, use: 'device', doc: 'SiFive PLIC; the root APLIC domain with aia' },
  aplicS: { base: 0xd00_0000, lengthBytes: 0x8000, use: 'device', doc: 'APLIC domain, supervisor level; with aia' },
  uart0: { base: 0x1000_0000, lengthBytes: 0x100, use: 'device', irq: 10, doc: '16550A UART, the console' },
  virtio0: { base: 0x1000_1000, lengthBytes: 0x1000, use: 'reserved', irq: 1, doc: 'virtio-mmio slot 0' },
  virtio1: { base: 0x1000_2000, lengthBytes: 0x1000, use: 'reserved', irq: 2, doc: 'virtio-mmio slot 1' },
  virtio2: { base: 0x1000_3000, lengthBytes: 0x1000, use: 'reserved', irq: 3, doc: 'virtio-mmio slot 2' },
  virtio3: { base: 0x1000_4000, lengthBytes: 0x1000, use: 'reserved', irq: 4, doc: 'virtio-mmio slot 3' },
  virtio4: { base: 0x1000_5000, lengthBytes: 0x1000, use: 'reserved', irq: 5, doc: 'virtio-mmio slot 4' },
  virtio5: { base: 0x1000_6000, lengthBytes: 0x1000, use: 'reserved', irq: 6, doc: 'virtio-mmio slot 5' },
  virtio6: { base: 0x1000_7000, lengthBytes: 0x1000, use: 'reserved', irq: 7, doc: 'virtio-mmio slot 6' },
  virtio7: { base: 0x1000_8000, lengthBytes: 0x1000, use: 'reserved', irq: 8, doc: 'virtio-mmio slot 7' },
  fwCfg: { base: 0x1010_0000, lengthBytes: 0x18, use: 'reserved', doc: 'QEMU firmware configuration' },
  flash: { base: 0x2000_0000, lengthBytes: 0x400_0000, use: 'reserved', doc: 'two flash banks of 32 MiB' },
  imsicM: {
    base: 0x2400_0000,
    lengthBytes: 0x400_0000,
    use: 'device',
    doc: 'interrupt files, machine level; with aia=aplic-imsic',
  },
  imsicS: {
    base: 0x2800_0000,
    lengthBytes: 0x400_0000,
    use: 'device',
    doc: 'interrupt files, supervisor level; with aia=aplic-imsic',
  },
  pcieEcam: { base: 0x3000_0000, lengthBytes: 0x1000_0000, use: 'device', doc: 'PCI Express configuration space' },
  pcieMmio: { base: 0x4000_0000, lengthBytes: 0x4000_0000, use: 'device', doc: 'PCI Express memory' },
  dram: { base: 0x8000_0000, lengthBytes: RAM_MAX_BYTES, use: 'ram', doc: 'guest RAM; as long as -m says' },
} as const satisfies Record<string, VirtRow>;

/** Harts, each with a thread of the host. */
export const HARTS_MAX = 64;

/** PLIC sources 1 to this. */
export const VIRT_PLIC_SOURCES = 96;

/** Ticks of `time` and `mtime` a second. */
export const VIRT_TIMEBASE_HZ = 10_000_000;

/** The table as Markdown, by address. */
export function virtMemoryMapMarkdown(): string {
  const rows = Object.entries<VirtRow>(virtTable).sort(([, a], [, b]) => a.base - b.base);
  const lines = ['| address | length | name | interrupt | what is there |', '|---|---|---|---|---|'];
  for (const [name, { base, lengthBytes, use, irq, doc }] of rows) {
    const what = use === 'reserved' ? `reserved: ${doc}` : doc;
    lines.push(`| ${hex(base)} | ${hex(lengthBytes)} | ${name} | ${irq ?? ''} | ${what} |`);
  }
  return `${lines.join('\n')}\n`;
}

const hex = (value: number) => `0x${value.toString(16)}`;
