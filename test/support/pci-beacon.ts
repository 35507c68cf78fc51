/**
 * A PCI function of somebody else whose registers say where they are: each reads as its function's mark, the BAR and the
 * offset. It has every kind of BAR, and MSI-X.
 */
import { definePciFunction, type PciCorePorts, type PciFunctionCore } from '../../actors/devices.ts';

export const BEACON_ID = 0x10ee_1b36;

export const BEACON_BARS = [
  { bar: 0, kind: 'memory32', lengthBytes: 0x1000 },
  { bar: 1, kind: 'io', lengthBytes: 0x40 },
  { bar: 2, kind: 'memory64', lengthBytes: 0x1_0000, prefetchable: true },
  { bar: 4, kind: 'memory32', lengthBytes: 0x1000 },
] as const;

/** What a register reads. @param mark of the function, 1 to 254 */
export const beaconValue = (mark: number, bar: number, offset: number): number =>
  mark * 2 ** 24 + bar * 2 ** 20 + offset;

/** Vectors, their table in BAR 4. A write of n to BAR 0 notifies vector n. */
export const BEACON_VECTORS = 8;

export const beacon = definePciFunction<object, { readonly mark: number }, { writes: number }>({
  name: 'pci-beacon',
  version: 1,
  vendorId: BEACON_ID & 0xffff,
  deviceId: BEACON_ID >>> 16,
  classCode: 0x08_8000,
  bars: BEACON_BARS,
  interruptPin: 3,
  msix: { vectors: BEACON_VECTORS, bar: 4 },
  isExpress: true,
  create: (ports, { mark }) => core(ports, mark),
});

function core({ interrupts }: PciCorePorts, mark: number): PciFunctionCore<{ writes: number }> {
  let writes = 0;
  return {
    barRead: (bar, offset) => beaconValue(mark, bar, offset),
    barWrite(bar, _offset, value) {
      writes += 1;
      if (bar === 0) interrupts.notify(value);
    },
    reset() {
      writes = 0;
    },
    view: () => ({ writes }),
    save: () => ({ writes }),
    load(state) {
      writes = state.writes;
    },
  };
}
