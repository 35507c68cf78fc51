/**
 * The dirty log: which pages of guest RAM this hart has written since each client last collected. Bitmaps: page p of RAM
 * is bit p % 8 of byte p / 8; one bitmap for each client, owned by this hart.
 *
 * While anybody logs, a data TLB entry lets stores through only where the page is marked for all who do. So the first
 * store to a page takes the slow form, which marks it. Not here: writes by others (devices, the loader).
 */
import { hart } from './hart';
import {
  ARENA_DTLB,
  ARENA_DTLB_BYTES,
  DIRTY_CLIENTS,
  DTLB_CONTEXTS,
  DTLB_EMPTY,
  DTLB_ENTRY_BYTES,
  DTLB_WRITE_TAG,
  H_DIRTY_BITMAP,
  H_DIRTY_BITMAP_BYTES,
  H_DIRTY_CLIENTS,
  H_RAM_HOST,
  H_TLB_FILLS,
} from './layout.generated';

const PAGE_SHIFT: u32 = 12;

/** Where a client's bitmap has the bits of page & ~7. */
function byteOf(client: u32, page: u32): u32 {
  return load<u32>(hart, H_DIRTY_BITMAP) + client * load<u32>(hart, H_DIRTY_BITMAP_BYTES) + (page >> 3);
}

/** Marks the page of RAM at a host offset for all who log. To be called for every write to RAM that misses the TLB. */
export function markDirty(host: u32): void {
  const clients = load<u32>(hart, H_DIRTY_CLIENTS);
  if (clients === 0) return;
  const page = (host - load<u32>(hart, H_RAM_HOST)) >> PAGE_SHIFT;
  for (let client: u32 = 0; client < DIRTY_CLIENTS; client++) {
    if (!(clients & (1 << client))) continue;
    const byte = byteOf(client, page);
    store<u8>(byte, load<u8>(byte) | <u8>((<u32>1) << (page & 7)));
  }
}

/** Whether all who log have the page of RAM at a host offset marked already. */
export function isMarked(host: u32): bool {
  const clients = load<u32>(hart, H_DIRTY_CLIENTS);
  if (clients === 0) return true;
  const page = (host - load<u32>(hart, H_RAM_HOST)) >> PAGE_SHIFT;
  for (let client: u32 = 0; client < DIRTY_CLIENTS; client++) {
    if ((clients & (1 << client)) !== 0 && !(load<u8>(byteOf(client, page)) & (1 << (page & 7)))) return false;
  }
  return true;
}

/** Takes the right to write from all entries of the data TLBs: the next store to each page is seen. */
export function dropWriteTags(): void {
  for (let context: u32 = 0; context < DTLB_CONTEXTS; context++) {
    if (load<u32>(hart + context * 4, H_TLB_FILLS) === 0) continue;
    const table = hart + ARENA_DTLB + context * ARENA_DTLB_BYTES;
    for (let entry = table; entry < table + ARENA_DTLB_BYTES; entry += DTLB_ENTRY_BYTES) {
      store<u64>(entry, DTLB_EMPTY, DTLB_WRITE_TAG);
    }
  }
}
