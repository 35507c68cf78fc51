import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type AiaKind,
  aiaNodes,
  aplicWiring,
  VIRT_APLIC_M_BASE,
  VIRT_APLIC_S_BASE,
} from '../../actors/board/virt-aia-tree.ts';
import { readFdt } from '../../src/fdt/read.ts';
import {
  type FdtNode,
  type FdtTree,
  fdtNode,
  findNode,
  getCells,
  getStrings,
  PhandleAllocator,
} from '../../src/fdt/tree.ts';
import { writeFdt } from '../../src/fdt/write.ts';
import { dtc, needsTool } from '../fdt/tools.ts';
import { findQemu10, type Qemu10 } from '../support/qemu10.ts';

const HARTS = 2;
const DOWNLOAD_TIMEOUT_MS = 600_000;
const KINDS = ['aplic', 'aplic-imsic'] as const;

/** Harts, and a node with a wire, around what is tested. */
function treeOf(kind: AiaKind, supervisorOnly: boolean): FdtTree {
  const phandles = new PhandleAllocator();
  const intcs = Array.from({ length: HARTS }, () => phandles.next());
  const { nodes, interruptParent } = aiaNodes({ kind, intcs, phandles, supervisorOnly });
  const cpus = intcs.map((phandle, hart) => {
    const properties = { device_type: 'cpu', reg: hart, compatible: 'riscv' };
    const controller = { '#address-cells': 0, '#interrupt-cells': 1, 'interrupt-controller': true, phandle } as const;
    return fdtNode(`cpu@${hart}`, properties, [
      fdtNode('interrupt-controller', { ...controller, compatible: 'riscv,cpu-intc' }),
    ]);
  });
  const rtc = {
    compatible: 'google,goldfish-rtc',
    reg: [0, 0x10_1000, 0, 0x1000],
    ...aplicWiring(11, interruptParent),
  };
  const soc = { '#address-cells': 2, '#size-cells': 2, compatible: 'simple-bus', ranges: true } as const;
  const root = fdtNode('', { '#address-cells': 2, '#size-cells': 2, compatible: 'test', model: 'test' }, [
    fdtNode('cpus', { '#address-cells': 1, '#size-cells': 0 }, cpus),
    fdtNode('soc', soc, [fdtNode('rtc@101000', rtc), ...nodes]),
  ]);
  return { root, reservations: [], bootCpu: 0 };
}

/** Properties in which a phandle is every so many cells, from the first. */
const REFERENCES: Readonly<Record<string, number>> = {
  'interrupt-parent': 1,
  'msi-parent': 1,
  'riscv,children': 1,
  'interrupts-extended': 2,
  'riscv,delegation': 3,
  'riscv,delegate': 3,
};

/** The properties of a node in words: phandles as paths. */
function describeNode(node: FdtNode, root: FdtNode): Record<string, string> {
  const words = [...node.properties].map(([name, value]) => {
    const step = REFERENCES[name];
    const cells = getCells(value);
    if (name === 'compatible') return [name, getStrings(value)?.join() ?? ''];
    if (step === undefined || cells === null) return [name, Buffer.from(value).toString('hex')];
    return [name, cells.map((cell, i) => (i % step === 0 ? pathOf(cell, root) : cell)).join(' ')];
  });
  const { phandle: _, ...rest } = Object.fromEntries(words) as Record<string, string>;
  return rest;
}

function pathOf(phandle: number, node: FdtNode, path = ''): string {
  const own = node.properties.get('phandle');
  if (own !== undefined && getCells(own)?.[0] === phandle) return path;
  return (
    node.children.map((child) => pathOf(phandle, child, `${path}/${child.name}`)).find((found) => found !== '') ?? ''
  );
}

describe('the AIA nodes of virt', () => {
  let qemu: Qemu10 = { command: null, reason: '' };

  beforeAll(async () => {
    qemu = await findQemu10();
  }, DOWNLOAD_TIMEOUT_MS);

  it.for(KINDS)('pass through dtc without a warning (%s)', (kind, context) => {
    needsTool(context, 'dtc');
    const tree = treeOf(kind, true);
    const source = dtc(writeFdt(tree), 'dtb', 'dts');
    expect(readFdt(dtc(new TextDecoder().decode(source), 'dts', 'dtb'))).toEqual(tree);
  });

  it.for(KINDS)('say what QEMU 10 says (%s)', (kind, { skip }) => {
    if (qemu.command === null) return skip(qemu.reason);
    const theirs = qemuTree(qemu.command, kind);
    const ours = treeOf(kind, false).root;
    const controllers = (findNode(ours, '/soc') as FdtNode).children;
    const names = controllers.map(({ name }) => name);
    const theirNames = (findNode(theirs, '/soc') as FdtNode).children.map(({ name }) => name);
    expect(names.filter((name) => !theirNames.includes(name))).toEqual([]);
    expect(theirNames.filter((name) => name.startsWith('interrupt-controller@') && !names.includes(name))).toEqual([]);
    for (const node of controllers) {
      const own = describeNode(node, ours);
      if (node.properties.has('msi-controller')) {
        // The binding asks for the one, dtc for the other; QEMU leaves both out.
        for (const name of ['#msi-cells', '#address-cells']) {
          expect(own[name]).toBe('00000000');
          delete own[name];
        }
      }
      expect(own).toEqual(describeNode(findNode(theirs, `/soc/${node.name}`) as FdtNode, theirs));
    }
  });

  it.for(KINDS)('of machine level are disabled without firmware there (%s)', (kind) => {
    const { root } = treeOf(kind, true);
    const status = (base: number) => {
      const node = findNode(root, `/soc/interrupt-controller@${base.toString(16)}`);
      return node === undefined
        ? 'none'
        : (getStrings(node.properties.get('status') ?? new Uint8Array(0))?.[0] ?? 'okay');
    };
    expect([VIRT_APLIC_M_BASE, VIRT_APLIC_S_BASE].map(status)).toEqual(['disabled', 'okay']);
    const files = kind === 'aplic-imsic' ? ['disabled', 'okay'] : ['none', 'none'];
    expect([0x2400_0000, 0x2800_0000].map(status)).toEqual(files);
  });

  it('name the parents of interrupts and of MSIs', () => {
    const make = (kind: AiaKind) =>
      aiaNodes({ kind, intcs: [1], phandles: new PhandleAllocator(), supervisorOnly: true });
    const phandleOf = (nodes: readonly FdtNode[], base: number) => {
      const node = nodes.find(({ name }) => name.endsWith(`@${base.toString(16)}`));
      return getCells(node?.properties.get('phandle') ?? new Uint8Array(0))?.[0];
    };
    const [direct, msi] = [make('aplic'), make('aplic-imsic')];
    expect([direct.interruptParent, direct.msiParent]).toEqual([phandleOf(direct.nodes, VIRT_APLIC_S_BASE), undefined]);
    expect([msi.interruptParent, msi.msiParent]).toEqual([
      phandleOf(msi.nodes, VIRT_APLIC_S_BASE),
      phandleOf(msi.nodes, 0x2800_0000),
    ]);
  });
});

function qemuTree([command = '', ...args]: readonly string[], kind: AiaKind): FdtNode {
  const folder = mkdtempSync(join(tmpdir(), 'bottomhalf-'));
  try {
    const file = join(folder, 'virt.dtb');
    const machine = ['-M', `virt,aia=${kind},dumpdtb=${file}`, '-smp', String(HARTS), '-display', 'none'];
    spawnSync(command, [...args, ...machine]);
    return readFdt(new Uint8Array(readFileSync(file))).root;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
