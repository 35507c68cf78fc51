/**
 * The PCI Express host bridge in the device tree of board `virt`, and where its windows lie.
 * Source: Linux bindings host-generic-pci.yaml and pci.txt; Devicetree Specification v0.4, 2.4.3 (interrupt-map);
 * QEMU's hw/riscv/virt.c (create_pcie_irq_map, create_fdt_pcie, virt_high_pcie_memmap).
 */
import type { Region } from '../../src/bus/address-space.ts';
import type { SpaceName } from '../../src/bus/topology.ts';
import type { Aperture } from '../../src/bus/topology-placement.ts';
import { openBusWindow } from '../../src/bus/window.ts';
import { cells64, type FdtNode, fdtNode, reg64 } from '../../src/fdt/tree.ts';
import type { PciHostWindow } from '../../src/pci/index.ts';
import { type VirtRow, virtTable } from './virt-table.ts';

/** INTA of device 0; the other pins follow. */
export const VIRT_PCIE_IRQ = 0x20;
const INTX_PINS = 4;
const GIB = 2 ** 30;
const HIGH_BYTES = 16 * GIB;

/** Address space codes of a PCI address's first cell (IEEE 1275 PCI bus binding, 2.2.1.1). */
const SPACE = { io: 0x0100_0000, memory: 0x0200_0000, memory64: 0x0300_0000 } as const;
/** Device number and pin, as the map below spells them out for four devices: the rest is the same again. */
const INTERRUPT_MAP_MASK = [0x1800, 0, 0, 7];
const LEVEL_HIGH = 4;

export interface VirtPciTreeConfig {
  /** What INTx goes to: a PLIC (one cell) or an APLIC (two). */
  readonly interruptParent: { readonly phandle: number; readonly cells: 1 | 2 };
  /** The IMSIC that messages go to. Without it there is no MSI. */
  readonly msiParent?: number;
  readonly ramBytes: number;
}

/** The 64-bit window: above RAM, at a multiple of its length. */
export function virtPcieHighWindow(ramBytes: number): PciHostWindow {
  const base = Math.ceil((virtTable.dram.base + ramBytes) / HIGH_BYTES) * HIGH_BYTES;
  return { space: 'memory', base, busBase: base, lengthBytes: HIGH_BYTES };
}

/** I/O ports, 32-bit memory, 64-bit memory. */
export function virtPcieWindows(ramBytes: number): PciHostWindow[] {
  const { pciePio, pcieMmio } = virtTable;
  return [
    { space: 'io', base: pciePio.base, busBase: 0, lengthBytes: pciePio.lengthBytes },
    { space: 'memory', base: pcieMmio.base, busBase: pcieMmio.base, lengthBytes: pcieMmio.lengthBytes },
    virtPcieHighWindow(ramBytes),
  ];
}

/** Where placed windows are seen, and all ones elsewhere; I/O ports in an address space of their own. */
export function virtPcieApertures(ramBytes: number): Readonly<Record<SpaceName, readonly Aperture[]>> {
  const [io, low, high] = virtPcieWindows(ramBytes) as [PciHostWindow, PciHostWindow, PciHostWindow];
  const aperture = (name: string, base: number, { lengthBytes }: PciHostWindow): Aperture => {
    return { name, base, lengthBytes, openBus: true };
  };
  return {
    memory: [aperture('pcie-mmio', low.base, low), aperture('pcie-high', high.base, high)],
    io: [aperture('pcie-ports', io.busBase, io)],
  };
}

/** The same as regions: what there is before the topology's first version. */
export function virtPcieOpenBus(ramBytes: number): Record<SpaceName, Region[]> {
  const { memory, io } = virtPcieApertures(ramBytes);
  const region = ({ name, base, lengthBytes }: Aperture): Region => {
    return { name, base, lengthBytes, kind: 'mmio', window: openBusWindow(lengthBytes) };
  };
  return { memory: memory.map(region), io: io.map(region) };
}

/** The node, to be put under /soc. */
export function virtPciNode({ interruptParent, msiParent, ramBytes }: VirtPciTreeConfig): FdtNode {
  const ecam: VirtRow = virtTable.pcieEcam;
  const [io, memory, memory64] = virtPcieWindows(ramBytes) as [PciHostWindow, PciHostWindow, PciHostWindow];
  return fdtNode(`pci@${ecam.base.toString(16)}`, {
    '#address-cells': 3,
    '#interrupt-cells': 1,
    '#size-cells': 2,
    compatible: 'pci-host-ecam-generic',
    device_type: 'pci',
    'linux,pci-domain': 0,
    'bus-range': [0, ecam.lengthBytes / 2 ** 20 - 1],
    'dma-coherent': true,
    'msi-parent': msiParent,
    reg: reg64(ecam.base, ecam.lengthBytes),
    ranges: [...range(SPACE.io, io), ...range(SPACE.memory, memory), ...range(SPACE.memory64, memory64)],
    'interrupt-map': interruptMap(interruptParent),
    'interrupt-map-mask': INTERRUPT_MAP_MASK,
  });
}

function range(space: number, { base, busBase, lengthBytes }: PciHostWindow): number[] {
  return [space, ...cells64(busBase), ...reg64(base, lengthBytes)];
}

/** Pins rotate with the device number. Neither controller has address cells. */
function interruptMap({ phandle, cells }: VirtPciTreeConfig['interruptParent']): number[] {
  const numbers = Array.from({ length: INTX_PINS }, (_, index) => index);
  return numbers.flatMap((device) =>
    numbers.flatMap((pin) => {
      const source = VIRT_PCIE_IRQ + ((pin + device) % INTX_PINS);
      const flags = cells === 2 ? [LEVEL_HIGH] : [];
      return [device << 11, 0, 0, pin + 1, phandle, source, ...flags];
    }),
  );
}
