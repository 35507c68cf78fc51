import { createVm } from 'bottomhalf';
import { defaultGuest } from 'bottomhalf/guest';
import { expect, test } from 'vitest';

test('Linux multiplies and powers off', async () => {
  const vm = await createVm(await defaultGuest());
  vm.start();
  await vm.console.expect('# ');
  vm.console.write('echo $((6 * 7)); poweroff -f\n');
  await vm.console.expect('\r\n42\r\n');
  expect(await vm.finished).toEqual({ kind: 'poweroff', code: 0 });
  await vm.stop();
}, 120_000);
