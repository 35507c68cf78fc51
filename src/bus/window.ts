/**
 * Register windows that no device is behind: plain bytes, another address space, an open bus.
 */
import { ACCESS_OK, BUS_FAULT, type RegisterWindow } from '../actor/index.ts';
import type { FlatView } from './flat-view.ts';

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

/**
 * Another address space, seen through a window: what reaches offset n goes to its address n, whatever kind of access it
 * is. So a bus with port I/O shows its ports (the PIO window of a PCI host bridge).
 * @param view the current version, asked for at each access; it must not lead back here
 */
export function addressSpaceWindow(view: () => FlatView, lengthBytes: number): RegisterWindow {
  const outside = (offset: number, size: number): boolean => offset < 0 || offset + size > lengthBytes;
  return {
    lengthBytes,
    read(offset, size) {
      if (outside(offset, size)) return BUS_FAULT;
      const target = view();
      const status = target.read(offset, size);
      return status === ACCESS_OK ? target.lo : status;
    },
    write: (offset, value, size) => (outside(offset, size) ? BUS_FAULT : view().write(offset, size, value)),
    readAsync(offset, size, done) {
      if (!outside(offset, size)) return view().readAsync(offset, size, (fault, lo) => done(fault ? BUS_FAULT : lo));
      done(BUS_FAULT);
      return true;
    },
    writeAsync(offset, value, size, done) {
      if (!outside(offset, size)) {
        return view().writeAsync(offset, size, value, 0, (fault) => done(fault ? BUS_FAULT : ACCESS_OK));
      }
      done(BUS_FAULT);
      return true;
    },
  };
}

/** Where nothing answers and that is no error: reads give ones, writes go nowhere (an unused address of a PCI bus). */
export function openBusWindow(lengthBytes: number): RegisterWindow {
  return {
    lengthBytes,
    read: (_offset, size) => 2 ** (size * 8) - 1,
    write: () => ACCESS_OK,
    readAsync(offset, size, done) {
      done(this.read(offset, size));
      return true;
    },
  };
}
