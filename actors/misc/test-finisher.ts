/**
 * SiFive test finisher: the register a guest writes to end the run: pass, fail with a code, or reset.
 * Source: SiFive E3/U5 "Test Finisher" (`sifive,test0`), as QEMU's hw/misc/sifive_test.c; the device tree also binds it
 * as a syscon, so that Linux powers off and reboots through it.
 *
 * The guest sees one write-only word. Other values, narrower or other accesses do nothing; reads give 0.
 * Not modelled: nothing is left out.
 */
import { type DeviceCore, defineDevice } from '../../src/actor/device-core.ts';
import { StateReader } from '../../src/bus/device-state.ts';
import { registerTable } from '../../src/bus/register-table.ts';

/** How the guest wants to end. */
export interface FinishRequest {
  readonly kind: 'pass' | 'fail' | 'reset';
  /** The guest's own exit code, 0 to 65535; 0 for pass and reset unless the guest gave one. */
  readonly code: number;
}

export interface TestFinisherPorts {
  finish(request: FinishRequest): void;
}

export const testFinisherRegisters = registerTable({
  FINISH: {
    offset: 0,
    widthBytes: 4,
    access: 'wo',
    doc: '[15:0] command: 0x3333 fail, 0x5555 pass, 0x7777 reset; [31:16] code',
  },
});

/** FINISH[15:0]. The board's syscon nodes carry the same values. */
export const finishCommand = { fail: 0x3333, pass: 0x5555, reset: 0x7777 } as const;

export type TestFinisherState = Record<string, never>;

export const testFinisher = defineDevice<TestFinisherPorts, void, TestFinisherState>({
  name: 'sifive-test',
  version: 1,
  lengthBytes: 0x1000,
  create: (ports) => createCore(ports),
});

function createCore(ports: TestFinisherPorts): DeviceCore<TestFinisherState> {
  return {
    mmioRead: () => 0,
    mmioWrite(offset, value, size) {
      if (offset !== testFinisherRegisters.FINISH.offset || size === 1) return;
      const kind = kindOf(value & 0xffff);
      if (kind !== null) ports.finish({ kind, code: (value >>> 16) & 0xffff });
    },
    reset: () => {},
    view: () => ({}),
    save: () => ({}),
    load: (state) => new StateReader('sifive-test', state).finish(),
  };
}

function kindOf(command: number): FinishRequest['kind'] | null {
  if (command === finishCommand.pass) return 'pass';
  if (command === finishCommand.fail) return 'fail';
  return command === finishCommand.reset ? 'reset' : null;
}
