/**
 * The device tree of board `virt`, derived from its table.
 * Source: Devicetree Specification v0.4; Linux bindings riscv/cpus.yaml and riscv/extensions.yaml, ns16550a,
 * sifive,plic-1.0.0, sifive,clint, google,goldfish-rtc, syscon-poweroff and -reboot; node names and order as QEMU's virt.
 *
 * Not in it, because the devices do not exist yet: virtio-mmio, flash, fw-cfg, platform bus; and no pmu
 * node, because the counters beyond cycle and instret count nothing.
 */
import { type FdtNode, type FdtTree, type FdtValue, fdtNode, PhandleAllocator, reg64 } from '../../src/fdt/tree.ts';
import { INTERRUPT } from '../../src/hart/interrupt-bits.ts';
import { UART_CLOCK_HZ } from '../char/uart16550.ts';
import type { Aia } from '../cpu/aia.ts';
import { finishCommand } from '../misc/test-finisher.ts';
import { aiaNodes, aplicWiring } from './virt-aia-tree.ts';
import { virtPciNode } from './virt-pci-tree.ts';
import { VIRT_PLIC_SOURCES, VIRT_TIMEBASE_HZ, type VirtRow, virtTable } from './virt-table.ts';

export interface VirtTreeConfig {
  readonly harts: number;
  readonly ramBytes: number;
  /** `none` where left out. */
  readonly aia?: Aia;
  /** There is no firmware in M mode. */
  readonly supervisorOnly?: boolean;
  /** Multi-letter extensions are lower case; in any order. Default: VIRT_ISA_EXTENSIONS. */
  readonly isaExtensions?: readonly string[];
}

/** What the harts of this board announce. Order: single letters, then as the ISA naming rules sort them. */
export const VIRT_ISA_EXTENSIONS = [
  ...['i', 'm', 'a', 'f', 'd', 'c'],
  ...['zicbom', 'zicbop', 'zicboz', 'zicntr', 'zicond', 'zicsr', 'zifencei', 'zihintpause', 'zihpm'],
  ...['zawrs', 'zfa', 'zfh', 'zfhmin', 'zca', 'zcb', 'zcd', 'zba', 'zbb', 'zbc', 'zbs'],
  ...['sstc', 'svadu', 'svinval', 'svnapot', 'svpbmt'],
] as const;

/** With an APLIC, or an APLIC and IMSICs. */
const AIA_EXTENSIONS = ['smaia', 'ssaia'];

/** Bytes that one cbo instruction works on. */
export const CACHE_BLOCK_BYTES = 64;

/** The console, as stdout-path and alias name it. */
export const VIRT_CONSOLE_PATH = `/soc/${unit('serial', virtTable.uart0)}`;

/** The interrupt properties of a node that is wired to a source. */
type Wiring = (irq: number) => Readonly<Record<string, FdtValue>>;

export interface VirtTree {
  readonly tree: FdtTree;
  readonly wiring: Wiring;
}

/** The tree as the machine has it; the boot loader adds the rest of /chosen (see src/fdt/chosen.ts). */
export function virtDeviceTree(config: VirtTreeConfig): VirtTree {
  const phandles = new PhandleAllocator();
  const harts = Array.from({ length: config.harts }, () => ({ cpu: phandles.next(), intc: phandles.next() }));
  const test = phandles.next();
  const { aia = 'none', supervisorOnly = false } = config;
  const isa = [...(config.isaExtensions ?? VIRT_ISA_EXTENSIONS), ...(aia === 'none' ? [] : AIA_EXTENSIONS)];
  const intcs = harts.map((hart) => hart.intc);
  const controllers = aia === 'none' ? plicTree(intcs, phandles.next()) : aiaTree(aia, intcs, phandles, supervisorOnly);
  const root = fdtNode(
    '',
    { '#address-cells': 2, '#size-cells': 2, compatible: 'riscv-virtio', model: 'riscv-virtio,qemu' },
    [
      fdtNode('chosen', { 'stdout-path': VIRT_CONSOLE_PATH }),
      fdtNode('aliases', { serial0: VIRT_CONSOLE_PATH }),
      syscon('poweroff', test, finishCommand.pass),
      syscon('reboot', test, finishCommand.reset),
      fdtNode(unit('memory', virtTable.dram), {
        device_type: 'memory',
        reg: reg64(virtTable.dram.base, config.ramBytes),
      }),
      cpusNode(harts, isa),
      socNode(intcs, controllers, test, config.ramBytes),
    ],
  );
  return { tree: { root, reservations: [], bootCpu: 0 }, wiring: controllers.wiring };
}

/** The interrupt controllers, and how others name them. */
interface Controllers {
  readonly nodes: readonly FdtNode[];
  readonly wiring: Wiring;
  readonly parent: { readonly phandle: number; readonly cells: 1 | 2 };
  readonly msiParent: number | undefined;
}

function plicTree(intcs: readonly number[], phandle: number): Controllers {
  const node = fdtNode(unit('plic', virtTable.plic), {
    compatible: ['sifive,plic-1.0.0', 'riscv,plic0'],
    phandle,
    'riscv,ndev': VIRT_PLIC_SOURCES,
    'interrupt-controller': true,
    '#interrupt-cells': 1,
    '#address-cells': 0,
    'interrupts-extended': wired(intcs, INTERRUPT.mei, INTERRUPT.sei),
    reg: reg64(virtTable.plic.base, virtTable.plic.lengthBytes),
  });
  const wiring = (irq: number) => ({ interrupts: irq, 'interrupt-parent': phandle });
  return { nodes: [node], wiring, parent: { phandle, cells: 1 }, msiParent: undefined };
}

function aiaTree(
  kind: 'aplic' | 'aplic-imsic',
  intcs: readonly number[],
  phandles: PhandleAllocator,
  supervisorOnly: boolean,
): Controllers {
  const { nodes, interruptParent: phandle, msiParent } = aiaNodes({ kind, intcs, phandles, supervisorOnly });
  return { nodes, wiring: (irq) => aplicWiring(irq, phandle), parent: { phandle, cells: 2 }, msiParent };
}

function cpusNode(harts: readonly { cpu: number; intc: number }[], isa: readonly string[]): FdtNode {
  const cpus = harts.map(({ cpu, intc }, hart) =>
    fdtNode(
      `cpu@${hart.toString(16)}`,
      {
        phandle: cpu,
        device_type: 'cpu',
        reg: hart,
        status: 'okay',
        compatible: 'riscv',
        'riscv,isa': isaString(isa),
        'riscv,isa-base': 'rv64i',
        'riscv,isa-extensions': isa,
        'riscv,cbom-block-size': isa.includes('zicbom') ? CACHE_BLOCK_BYTES : undefined,
        'riscv,cbop-block-size': isa.includes('zicbop') ? CACHE_BLOCK_BYTES : undefined,
        'riscv,cboz-block-size': isa.includes('zicboz') ? CACHE_BLOCK_BYTES : undefined,
        'mmu-type': 'riscv,sv57',
      },
      [
        fdtNode('interrupt-controller', {
          '#address-cells': 0,
          '#interrupt-cells': 1,
          'interrupt-controller': true,
          compatible: 'riscv,cpu-intc',
          phandle: intc,
        }),
      ],
    ),
  );
  const cores = harts.map(({ cpu }, hart) => fdtNode(`core${hart}`, { cpu }));
  const map = fdtNode('cpu-map', {}, [fdtNode('cluster0', {}, cores)]);
  return fdtNode('cpus', { '#address-cells': 1, '#size-cells': 0, 'timebase-frequency': VIRT_TIMEBASE_HZ }, [
    ...cpus,
    map,
  ]);
}

function socNode(intcs: readonly number[], controllers: Controllers, test: number, ramBytes: number): FdtNode {
  const { wiring, parent, msiParent } = controllers;
  const pci = { interruptParent: parent, ramBytes, ...(msiParent !== undefined && { msiParent }) };
  return fdtNode('soc', { '#address-cells': 2, '#size-cells': 2, compatible: 'simple-bus', ranges: true }, [
    device('rtc', virtTable.rtc, wiring, { compatible: 'google,goldfish-rtc' }),
    device('serial', virtTable.uart0, wiring, { compatible: 'ns16550a', 'clock-frequency': UART_CLOCK_HZ }),
    device('test', virtTable.test, wiring, { compatible: ['sifive,test1', 'sifive,test0', 'syscon'], phandle: test }),
    virtPciNode(pci),
    ...controllers.nodes,
    device('clint', virtTable.clint, wiring, {
      compatible: ['sifive,clint0', 'riscv,clint0'],
      'interrupts-extended': wired(intcs, INTERRUPT.msi, INTERRUPT.mti),
    }),
  ]);
}

function wired(intcs: readonly number[], ...causes: number[]): number[] {
  return intcs.flatMap((intc) => causes.flatMap((cause) => [intc, cause]));
}

function device(name: string, row: VirtRow, wiring: Wiring, properties: Parameters<typeof fdtNode>[1]): FdtNode {
  const interrupts = row.irq === undefined ? {} : wiring(row.irq);
  return fdtNode(unit(name, row), { ...properties, reg: reg64(row.base, row.lengthBytes), ...interrupts });
}

/** A register that powers the machine off or restarts it when `value` is written to it. */
function syscon(name: 'poweroff' | 'reboot', regmap: number, value: number): FdtNode {
  return fdtNode(name, { compatible: `syscon-${name}`, regmap, offset: 0, value });
}

/** The older property: `rv64` and single letters in a row, the others after underscores. */
function isaString(isa: readonly string[]): string {
  const letters = isa.filter((name) => name.length === 1).join('');
  return [`rv64${letters}`, ...isa.filter((name) => name.length > 1)].join('_');
}

function unit(name: string, row: VirtRow): string {
  return `${name}@${row.base.toString(16)}`;
}
