/**
 * Memory behind the bus: plain bytes as a register window.
 */
import { ACCESS_OK, BUS_FAULT, type RegisterWindow } from '../actor/index.ts';

/**
 * Plain bytes as a window: RAM or, when `writable` is false, ROM (a store to ROM is a bus fault, as on QEMU).
 * Little-endian; any alignment inside the bytes.
 */
export function memoryWindow(bytes: Uint8Array, writable: boolean): RegisterWindow {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const inside = (offset: number, size: number) => offset >= 0 && offset + size <= bytes.byteLength;
  return {
    lengthBytes: bytes.byteLength,
    read(offset, size) {
      if (!inside(offset, size)) return BUS_FAULT;
      if (size === 4) return view.getUint32(offset, true);
      return size === 2 ? view.getUint16(offset, true) : view.getUint8(offset);
    },
    write(offset, value, size) {
      if (!writable || !inside(offset, size)) return BUS_FAULT;
      if (size === 4) view.setUint32(offset, value, true);
      else if (size === 2) view.setUint16(offset, value, true);
      else view.setUint8(offset, value);
      return ACCESS_OK;
    },
    readAsync(offset, size, done) {
      done(this.read(offset, size));
      return true;
    },
  };
}
