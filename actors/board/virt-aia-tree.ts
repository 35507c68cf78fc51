/**
 * Device-tree nodes of the Advanced Interrupt Architecture on board `virt`, where it takes the PLIC's place.
 * Source: Linux bindings interrupt-controller/riscv,aplic.yaml and riscv,imsics.yaml; names and values as QEMU 10's virt.
 *
 * `riscv,delegate` is what older firmware reads for `riscv,delegation`; QEMU gives both.
 */
import { type FdtNode, type FdtValue, fdtNode, type PhandleAllocator, reg64 } from '../../src/fdt/tree.ts';
import { INTERRUPT_FILE_BYTES } from '../../src/hart/hart-signals.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { aplic } from '../irq/aplic.ts';
import { IMSIC_IDENTITIES } from '../irq/imsic-window.ts';
import { VIRT_PLIC_SOURCES, virtTable } from './virt-table.ts';

/** QEMU's machine option `aia`, where it is not `none`. */
export type AiaKind = 'aplic' | 'aplic-imsic';

/** The two interrupt domains: machine level in the PLIC's place. */
export const VIRT_APLIC_M_BASE = virtTable.plic.base;
export const VIRT_APLIC_S_BASE = virtTable.aplicS.base;

export interface AiaTreeConfig {
  readonly kind: AiaKind;
  /** Phandles of the harts' local interrupt controllers, by hart. */
  readonly intcs: readonly number[];
  readonly phandles: PhandleAllocator;
  /** No firmware in machine mode: its nodes are disabled, and the root's sources count as delegated (see aplic.ts). */
  readonly supervisorOnly: boolean;
}

export interface AiaTree {
  /** For /soc, in QEMU's order. */
  readonly nodes: readonly FdtNode[];
  /** Phandle of the controller of wired interrupts. */
  readonly interruptParent: number;
  /** Phandle for `msi-parent` of PCI Express; only with interrupt files. */
  readonly msiParent: number | undefined;
}

/** The second cell of an interrupt at an APLIC: level-sensitive, active high. */
const LEVEL_HIGH = 4;

/** The interrupt properties of a node that is wired to source `irq`: two cells. */
export function aplicWiring(irq: number, interruptParent: number): Record<string, FdtValue> {
  return { interrupts: [irq, LEVEL_HIGH], 'interrupt-parent': interruptParent };
}

export function aiaNodes(config: AiaTreeConfig): AiaTree {
  const { kind, intcs, phandles, supervisorOnly } = config;
  const hasFiles = kind === 'aplic-imsic';
  const imsics = hasFiles ? { machine: phandles.next(), supervisor: phandles.next() } : null;
  const aplics = { machine: phandles.next(), supervisor: phandles.next() };
  const machine = { cause: INTERRUPT.mei, status: supervisorOnly ? 'disabled' : undefined };
  const supervisor = { cause: INTERRUPT.sei, status: undefined };
  const domain = (base: number, level: Level, phandle: number, files: number | undefined, extra: Properties) =>
    fdtNode(unit(base), {
      compatible: ['qemu,aplic', 'riscv,aplic'],
      '#address-cells': 0,
      '#interrupt-cells': 2,
      'interrupt-controller': true,
      'interrupts-extended': files === undefined ? wired(intcs, level.cause) : undefined,
      'msi-parent': files,
      reg: reg64(base, aplic.lengthBytes),
      'riscv,num-sources': VIRT_PLIC_SOURCES,
      ...extra,
      status: level.status,
      phandle,
    });
  const children = {
    'riscv,children': aplics.supervisor,
    'riscv,delegation': [aplics.supervisor, 1, VIRT_PLIC_SOURCES],
    'riscv,delegate': [aplics.supervisor, 1, VIRT_PLIC_SOURCES],
  };
  const nodes = [
    domain(VIRT_APLIC_S_BASE, supervisor, aplics.supervisor, imsics?.supervisor, {}),
    domain(VIRT_APLIC_M_BASE, machine, aplics.machine, imsics?.machine, children),
  ];
  if (imsics !== null) {
    nodes.push(filesNode(virtTable.imsicS.base, supervisor, imsics.supervisor, intcs));
    nodes.push(filesNode(virtTable.imsicM.base, machine, imsics.machine, intcs));
  }
  return { nodes, interruptParent: aplics.supervisor, msiParent: imsics?.supervisor };
}

type Properties = Readonly<Record<string, FdtValue | undefined>>;

/** A privilege level: its external interrupt at the harts, and what its nodes are marked with. */
interface Level {
  readonly cause: number;
  readonly status: string | undefined;
}

function filesNode(base: number, { cause, status }: Level, phandle: number, intcs: readonly number[]): FdtNode {
  return fdtNode(unit(base), {
    compatible: ['qemu,imsics', 'riscv,imsics'],
    '#address-cells': 0,
    '#interrupt-cells': 0,
    'interrupt-controller': true,
    'msi-controller': true,
    '#msi-cells': 0,
    'interrupts-extended': wired(intcs, cause),
    reg: reg64(base, intcs.length * INTERRUPT_FILE_BYTES),
    'riscv,num-ids': IMSIC_IDENTITIES,
    status,
    phandle,
  });
}

function wired(intcs: readonly number[], cause: number): number[] {
  return intcs.flatMap((intc) => [intc, cause]);
}

function unit(base: number): string {
  return `interrupt-controller@${base.toString(16)}`;
}
