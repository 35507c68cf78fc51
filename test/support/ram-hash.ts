/** SHA-256 of a machine's guest RAM. */
import { createHash } from 'node:crypto';
import type { Vm } from '../../src/index.ts';
import { RAM_BASE } from './machines.ts';

const PIECE_BYTES = 2 ** 20;

export function ramHash(vm: Vm, ramBytes: number): string {
  const hash = createHash('sha256');
  for (let at = 0; at < ramBytes; at += PIECE_BYTES) {
    hash.update(vm.memory.read(RAM_BASE + at, Math.min(PIECE_BYTES, ramBytes - at)));
  }
  return hash.digest('hex');
}
