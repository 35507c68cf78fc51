/** What an APLIC interrupt domain saves (see aplic.ts), and how it is taken back. */
import { StateReader } from '../../src/bus/device-state.ts';
import { MMSIADDRCFGH_MASK, SMSIADDRCFGH_MASK } from './aplic-msi.ts';
import { DOMAINCFG, SOURCECFG, TARGET } from './aplic-registers.ts';

/** Bit n of word n/32 stands for source n wherever a list of words appears; other lists have an element per source. */
export interface AplicState {
  domaincfg: number;
  /** The root's; at supervisor level copies of the three that it needs. */
  mmsiaddrcfg: number;
  mmsiaddrcfgh: number;
  smsiaddrcfg: number;
  smsiaddrcfgh: number;
  genmsi: number;
  sourcecfg: number[];
  target: number[];
  /** The wires as last seen. */
  level: number[];
  /** The sources this domain has: at the root all, at the child those delegated to it. */
  present: number[];
  pending: number[];
  enable: number[];
  /** An element per hart. */
  idelivery: number[];
  iforce: number[];
  ithreshold: number[];
  /** MSIs that no interrupt file has taken. */
  droppedMsis: number;
}

/** @throws StateError for anything that a domain with as many sources and harts cannot have saved */
export function readAplicState(state: unknown, sources: number, harts: number): AplicState {
  const reader = new StateReader('riscv-aplic', state);
  const list = (name: string, max: number, count: number) => reader.uints(name, max, count, count);
  const words = (name: string) => list(name, 0xffff_ffff, (sources >>> 5) + 1);
  const read: AplicState = {
    domaincfg: reader.uint('domaincfg', DOMAINCFG.ie),
    mmsiaddrcfg: reader.uint('mmsiaddrcfg', 0xffff_ffff),
    mmsiaddrcfgh: reader.uint('mmsiaddrcfgh', MMSIADDRCFGH_MASK),
    smsiaddrcfg: reader.uint('smsiaddrcfg', 0xffff_ffff),
    smsiaddrcfgh: reader.uint('smsiaddrcfgh', SMSIADDRCFGH_MASK),
    genmsi: reader.uint('genmsi', 0xffff_ffff),
    sourcecfg: list('sourcecfg', SOURCECFG.delegate | SOURCECFG.childMask, sources + 1),
    target: list('target', 0xffff_ffff, sources + 1),
    level: words('level'),
    present: words('present'),
    pending: words('pending'),
    enable: words('enable'),
    idelivery: list('idelivery', 1, harts),
    iforce: list('iforce', 1, harts),
    ithreshold: list('ithreshold', TARGET.priorityMask, harts),
    droppedMsis: reader.uint('droppedMsis', Number.MAX_SAFE_INTEGER),
  };
  reader.finish();
  return read;
}
