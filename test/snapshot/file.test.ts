import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSnapshotFile, writeSnapshotFile } from '../../src/snapshot/file.ts';
import { readSnapshot } from '../../src/snapshot/read.ts';

const PAGE_BYTES = 4096;

function contents(fill: number, state: unknown = null) {
  const ram = new Uint8Array(new SharedArrayBuffer(600 * PAGE_BYTES));
  ram.fill(fill, 3 * PAGE_BYTES, 500 * PAGE_BYTES);
  return { machine: { board: 'virt' }, actors: [{ name: 'a', kind: 'b', version: 1, state }], ram };
}

describe('the file of a snapshot', () => {
  let folder = '';
  let path = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bottomhalf-snapshot-'));
    path = join(folder, 'vm.snap');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function load() {
    const file = await openSnapshotFile(path);
    try {
      const ram = new Uint8Array(new SharedArrayBuffer(600 * PAGE_BYTES));
      return { ram, ...(await readSnapshot(file, { ram })) };
    } finally {
      await file.close();
    }
  }

  it('is written and read, again in place of the old one', async () => {
    for (const fill of [1, 2]) {
      const given = contents(fill, { n: BigInt(fill) });
      await writeSnapshotFile(path, given);
      const { ram, machine, actors } = await load();
      expect({ machine, actors }).toStrictEqual({ machine: given.machine, actors: given.actors });
      expect(Buffer.compare(ram, given.ram)).toBe(0);
    }
    expect(readdirSync(folder)).toEqual(['vm.snap']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('stays as it was when the next one fails, with nothing left beside it', async () => {
    await writeSnapshotFile(path, contents(1));
    const before = readFileSync(path);
    await expect(
      writeSnapshotFile(
        path,
        contents(2, () => {}),
      ),
    ).rejects.toMatchObject({ fault: 'not-plain' });
    const stop = (): never => {
      throw new Error('enough');
    };
    await expect(writeSnapshotFile(path, contents(2), stop)).rejects.toThrow('enough');
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(folder)).toEqual(['vm.snap']);
  });

  it('is the old one while the next is being written', async () => {
    await writeSnapshotFile(path, contents(1));
    const before = readFileSync(path);
    let looked = 0;
    await writeSnapshotFile(path, contents(2), () => {
      looked++;
      expect(readFileSync(path).equals(before)).toBe(true);
    });
    expect(looked).toBeGreaterThan(1);
    expect(readFileSync(path).equals(before)).toBe(false);
  });

  it('does not mind what a killed process has left, nor two at once', async () => {
    writeFileSync(`${path}.part-${process.pid}-0`, 'left');
    await Promise.all([writeSnapshotFile(path, contents(1)), writeSnapshotFile(path, contents(2))]);
    expect([1, 2]).toContain((await load()).ram[3 * PAGE_BYTES]);
    expect(readdirSync(folder).sort()).toEqual(['vm.snap', `vm.snap.part-${process.pid}-0`]);
  });

  it("goes to a link's target", async () => {
    const target = join(folder, 'target');
    writeFileSync(target, 'old');
    symlinkSync(target, path);
    await writeSnapshotFile(path, contents(3));
    expect(statSync(target).size).toBeGreaterThan(497 * PAGE_BYTES);
    expect((await load()).ram[3 * PAGE_BYTES]).toBe(3);
  });

  it('cannot be a folder, nor lie in one that is not there', async () => {
    mkdirSync(path);
    const notAFile = { name: 'SnapshotError', fault: 'host', message: `${path}: it is not a plain file` };
    await expect(writeSnapshotFile(path, contents(1))).rejects.toMatchObject(notAFile);
    await expect(openSnapshotFile(path)).rejects.toMatchObject(notAFile);
    const nowhere = join(folder, 'no', 'vm.snap');
    await expect(writeSnapshotFile(nowhere, contents(1))).rejects.toMatchObject({
      fault: 'host',
      message: `${nowhere}: the snapshot cannot be written: there is no such file or folder`,
    });
    await expect(openSnapshotFile(nowhere)).rejects.toMatchObject({ fault: 'host', remedy: 'Check the path.' });
  });

  it('that is cut off while it is read is refused', async () => {
    await writeSnapshotFile(path, contents(1));
    const file = await openSnapshotFile(path);
    writeFileSync(path, readFileSync(path).subarray(0, 100_000));
    await expect(readSnapshot(file, {})).rejects.toMatchObject({ fault: 'incomplete' });
    await file.close();
  });
});
