import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { virtMemoryMapMarkdown, virtTable } from '../../actors/board/virt-table.ts';
import { VIRT_ISA_EXTENSIONS, virtDeviceTree } from '../../actors/board/virt-tree.ts';
import { createAddressSpace } from '../../src/bus/address-space.ts';
import { memoryWindow } from '../../src/bus/window.ts';
import { readFdt } from '../../src/fdt/read.ts';
import { type FdtNode, findNode, getCells, getStrings } from '../../src/fdt/tree.ts';
import { writeFdt } from '../../src/fdt/write.ts';
import { dtc, needsTool } from '../fdt/tools.ts';

const config = { harts: 2, ramBytes: 512 * 2 ** 20 };

/** Properties whose difference from QEMU's is meant, with the reason. */
const DIFFERENT_ON_PURPOSE: Record<string, string> = {
  'riscv,isa': 'our harts have other extensions',
  'mmu-type': 'ours have Sv57',
  phandle: 'numbering is free; what phandles point at is compared instead',
  'rng-seed': 'random',
  '#address-cells of a cpu-intc': 'dtc asks for it, QEMU 7.2 leaves it out',
};
const NOT_BUILT_YET = /^\/(pmu|fw-cfg@|flash@|platform-bus@|soc\/(pci@|virtio_mmio@))/;

describe('the device tree of virt', () => {
  it('passes through dtc without a warning and comes back the same', (context) => {
    needsTool(context, 'dtc');
    const { tree } = virtDeviceTree(config);
    const source = dtc(writeFdt(tree), 'dtb', 'dts');
    expect(readFdt(dtc(new TextDecoder().decode(source), 'dts', 'dtb'))).toEqual(tree);
  });

  it('says what QEMU says wherever both have a node', (context) => {
    needsTool(context, 'qemu-system-riscv64');
    const theirs = qemuTree();
    const ours = virtDeviceTree(config).tree.root;
    const problems: string[] = [];
    walk(theirs, '', (path, node) => {
      if (NOT_BUILT_YET.test(path)) return;
      const own = findNode(ours, path);
      if (own === undefined) problems.push(`${path} is missing`);
      else problems.push(...compare(path, node, own, theirs, ours));
    });
    expect(problems).toEqual([]);
  });

  it('describes each hart and as much memory as asked for', () => {
    const { root } = virtDeviceTree({ harts: 3, ramBytes: 3 * 2 ** 30 }).tree;
    expect(root.children.find((node) => node.name === 'cpus')?.children).toHaveLength(4);
    const cpu = findNode(root, '/cpus/cpu@2') as FdtNode;
    expect(getStrings(cpu.properties.get('riscv,isa-extensions') as Uint8Array)).toEqual([...VIRT_ISA_EXTENSIONS]);
    const memory = findNode(root, '/memory@80000000') as FdtNode;
    expect(getCells(memory.properties.get('reg') as Uint8Array)).toEqual([0, 0x80000000, 0, 0xc0000000]);
  });
});

describe('the table of virt', () => {
  it('makes an address space without overlaps', () => {
    const window = memoryWindow(new Uint8Array(0), false);
    const rows = Object.entries(virtTable).map(([name, row]) => ({ name, kind: 'mmio' as const, window, ...row }));
    expect(createAddressSpace(rows).regions).toHaveLength(rows.length);
  });

  it('documents itself', () => {
    expect(virtMemoryMapMarkdown()).toContain('| 0x10000000 | 0x100 | uart0 | 10 | 16550A UART, the console |');
  });
});

function qemuTree(): FdtNode {
  const folder = mkdtempSync(join(tmpdir(), 'bottomhalf-'));
  try {
    const file = join(folder, 'virt.dtb');
    spawnSync('qemu-system-riscv64', ['-M', `virt,dumpdtb=${file}`, '-m', '512M', '-smp', '2', '-display', 'none']);
    return readFdt(new Uint8Array(readFileSync(file))).root;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function walk(node: FdtNode, path: string, visit: (path: string, node: FdtNode) => void): void {
  visit(path === '' ? '/' : path, node);
  for (const child of node.children) walk(child, `${path}/${child.name}`, visit);
}

function compare(path: string, theirs: FdtNode, own: FdtNode, theirRoot: FdtNode, ownRoot: FdtNode): string[] {
  const problems: string[] = [];
  for (const [name, value] of theirs.properties) {
    if (name in DIFFERENT_ON_PURPOSE) continue;
    const mine = own.properties.get(name);
    const expected = resolve(name, value, theirRoot);
    if (mine === undefined || resolve(name, mine, ownRoot) !== expected) problems.push(`${path} ${name}: ${expected}`);
  }
  return problems;
}

/** Text of a value in which phandles are replaced by the paths of the nodes they name. */
function resolve(name: string, value: Uint8Array, root: FdtNode): string {
  const cells = getCells(value) ?? [];
  const isReference = ['interrupt-parent', 'regmap', 'cpu'].includes(name);
  if (isReference) return cells.map((cell) => pathOf(cell, root)).join();
  if (name === 'interrupts-extended') {
    return cells.map((cell, index) => (index % 2 === 0 ? pathOf(cell, root) : cell)).join();
  }
  return value.join();
}

function pathOf(phandle: number, root: FdtNode): string {
  let found = 'nothing';
  walk(root, '', (path, node) => {
    const own = node.properties.get('phandle');
    if (own !== undefined && getCells(own)?.[0] === phandle) found = path;
  });
  return found;
}
