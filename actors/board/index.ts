/** Board `virt` for whoever builds or checks a guest for it: its layout and its device tree; `bottomhalf/board`. */
export { readFdt } from '../../src/fdt/read.ts';
export { type FdtNode, type FdtTree, findNode, getCells, getStrings } from '../../src/fdt/tree.ts';
export { writeFdt } from '../../src/fdt/write.ts';
export {
  RAM_DEFAULT_BYTES,
  RAM_MAX_BYTES,
  RAM_MIN_BYTES,
  VIRT_PLIC_SOURCES,
  VIRT_TIMEBASE_HZ,
  type VirtRow,
  virtMemoryMapMarkdown,
  virtTable,
} from './virt-table.ts';
export { VIRT_CONSOLE_PATH, VIRT_ISA_EXTENSIONS, type VirtTreeConfig, virtDeviceTree } from './virt-tree.ts';
