/** The device-tree node of the host bridge, beside QEMU's own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { virtPcieWindows, virtPciNode } from '../../actors/board/virt-pci-tree.ts';
import { readFdt } from '../../src/fdt/read.ts';
import { type FdtNode, findNode, getCells } from '../../src/fdt/tree.ts';
import { hasTool, skipReason } from '../support/tools.ts';

const MIB = 2 ** 20;
const NODE = '/soc/pci@30000000';

function qemuNode(machine: string): FdtNode {
  const folder = mkdtempSync(join(tmpdir(), 'virt-dtb-'));
  try {
    const file = join(folder, 'virt.dtb');
    const args = ['-M', `${machine},dumpdtb=${file}`, '-m', '256', '-display', 'none'];
    execFileSync('qemu-system-riscv64', args, { stdio: 'ignore', timeout: 20_000 });
    const node = findNode(readFdt(new Uint8Array(readFileSync(file))).root, NODE);
    if (node === undefined) throw new Error(`QEMU's tree has no ${NODE}`);
    return node;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const plain = ({ properties }: FdtNode) =>
  Object.fromEntries([...properties].map(([name, bytes]) => [name, [...bytes]]));

describe.skipIf(!hasTool('qemu-system-misc'))(`the node (${skipReason('qemu-system-misc')})`, () => {
  it.each([
    ['virt', 1, false],
    ['virt,aia=aplic', 2, false],
    ['virt,aia=aplic-imsic', 2, true],
  ] as const)('is that of QEMU with -M %s', (machine, cells, hasMsi) => {
    const theirs = qemuNode(machine);
    const parent = getCells(theirs.properties.get('interrupt-map') ?? new Uint8Array(0))?.[4] ?? 0;
    const msiParent = getCells(theirs.properties.get('msi-parent') ?? new Uint8Array(0))?.[0];
    expect(msiParent !== undefined).toBe(hasMsi);
    const ours = virtPciNode({
      interruptParent: { phandle: parent, cells },
      ramBytes: 256 * MIB,
      ...(msiParent !== undefined && { msiParent }),
    });
    expect(plain(ours)).toEqual(plain(theirs));
    expect(`/soc/${ours.name}`).toBe(NODE);
  });
});

describe('the windows', () => {
  it('lie behind RAM, however much there is', () => {
    const GIB = 2 ** 30;
    expect(virtPcieWindows(256 * MIB)[2]?.base).toBe(16 * GIB);
    expect(virtPcieWindows(14 * GIB)[2]?.base).toBe(16 * GIB);
    expect(virtPcieWindows(14 * GIB + 1)[2]?.base).toBe(32 * GIB);
  });
});
