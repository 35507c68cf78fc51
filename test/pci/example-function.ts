/** A whole PCI function of somebody else: a counter in memory, a scratch register in I/O, MSI-X, PCI Express. */
import { definePciFunction, type PciCorePorts, type PciFunctionCore, StateReader } from '../../actors/devices.ts';

interface CounterState {
  count: number;
  scratch: number;
}

export const pciCounter = definePciFunction<object, { readonly step: number }, CounterState>({
  name: 'pci-counter',
  version: 1,
  vendorId: 0x1b36,
  deviceId: 0x10ff,
  classCode: 0x08_8000,
  bars: [
    { bar: 0, kind: 'memory32', lengthBytes: 0x1000 },
    { bar: 1, kind: 'io', lengthBytes: 16 },
    { bar: 2, kind: 'memory64', lengthBytes: 0x1000, prefetchable: true },
  ],
  interruptPin: 2,
  msiVectors: 4,
  msix: { vectors: 3, bar: 2 },
  isExpress: true,
  hasPowerManagement: true,
  create: (ports, { step }) => counter(ports, step),
});

function counter({ interrupts }: PciCorePorts, step: number): PciFunctionCore<CounterState> {
  let state: CounterState = { count: 0, scratch: 0 };
  return {
    barRead: (bar, offset) => (offset !== 0 ? 0 : bar === 0 ? state.count : state.scratch),
    /** Memory 0: count, and interrupt with the vector written. Memory 4: level of the pin. I/O 0: scratch. */
    barWrite(bar, offset, value) {
      if (bar === 1 && offset === 0) state.scratch = value;
      if (bar === 0 && offset === 4) interrupts.setLevel(value !== 0);
      if (bar !== 0 || offset !== 0) return;
      state.count = (state.count + step) >>> 0;
      interrupts.notify(value);
    },
    reset() {
      state = { count: 0, scratch: 0 };
    },
    view: () => ({ ...state }),
    save: () => ({ ...state }),
    load(saved) {
      const reader = new StateReader('pci-counter', saved);
      state = { count: reader.uint('count', 0xffff_ffff), scratch: reader.uint('scratch', 0xffff_ffff) };
      reader.finish();
    },
  };
}
