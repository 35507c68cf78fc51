import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DATA_MAX_BYTES, FLAG_OPTIONAL, PAGE_BYTES } from '../../src/snapshot/format.ts';
import { readSnapshot, readSnapshotHeader } from '../../src/snapshot/read.ts';
import { type SnapshotContents, writeSnapshot } from '../../src/snapshot/write.ts';
import { bytesOf, fileOf, plain, sourceOf, words } from './bytes.ts';

const MIB = 2 ** 20;
const state = {
  flags: { masked: true, none: null, missing: undefined },
  numbers: [0, -0, Number.NaN, Number.POSITIVE_INFINITY, -1, 2 ** 31, 1e-300],
  mtimecmp: 0xffff_ffff_ffff_ffffn,
  below: -(2n ** 70n),
  text: 'Grüße\0\ud800',
  bytes: Uint8Array.of(1, 2, 3),
  registers: BigUint64Array.of(1n, 2n ** 63n),
  floats: Float64Array.of(-0, Number.NaN, 1.5),
  halves: Uint16Array.of(1, 65535).subarray(1),
  nested: [[[{ deep: [] }]]],
};
const small: SnapshotContents = {
  machine: { board: 'virt', accel: 'interpreter', devices: [] },
  actors: [{ name: 'rtc0', kind: 'goldfish-rtc', version: 1, state: { offset: 5n } }],
  ram: new Uint8Array(0),
};

function ramWith(lengthBytes: number, pages: readonly number[]): Uint8Array {
  const ram = new Uint8Array(lengthBytes);
  for (const page of pages) ram[page * PAGE_BYTES + (page % PAGE_BYTES)] = (page % 255) + 1;
  return ram;
}

async function roundTrip(contents: SnapshotContents) {
  const bytes = await bytesOf(contents);
  const ram = new Uint8Array(new SharedArrayBuffer(contents.ram.length));
  return { bytes, ram, snapshot: await readSnapshot(sourceOf(bytes), { ram }) };
}

describe('a snapshot', () => {
  it('gives back machine and actors, every kind of plain data in them', async () => {
    const actors = [{ name: 'uart0', kind: 'uart16550', version: 3, state }, ...small.actors];
    const { bytes, snapshot } = await roundTrip({ ...small, actors });
    expect(snapshot).toStrictEqual({ formatVersion: 1, ramBytes: 0, machine: small.machine, actors });
    expect(await readSnapshotHeader(sourceOf(bytes))).toStrictEqual({
      formatVersion: 1,
      ramBytes: 0,
      machine: small.machine,
    });
  });

  it('takes a state larger than its first room, and says which one is too large', async () => {
    const actor = (lengthBytes: number) => ({
      name: 'gpu0',
      kind: 'gpu',
      version: 1,
      state: new Uint8Array(lengthBytes).fill(9),
    });
    const { snapshot } = await roundTrip({ ...small, actors: [actor(3 * MIB)] });
    expect(Buffer.compare(snapshot.actors[0]?.state as Uint8Array, actor(3 * MIB).state)).toBe(0);
    await expect(bytesOf({ ...small, actors: [actor(DATA_MAX_BYTES)] })).rejects.toMatchObject({
      fault: 'too-large',
      where: 'the actor gpu0',
    });
  });

  it('refuses a state that is not plain, naming the actor', async () => {
    const actors = [{ name: 'mine', kind: 'x', version: 1, state: { map: new Map() } }];
    await expect(bytesOf({ ...small, actors })).rejects.toMatchObject({ fault: 'not-plain', where: 'the actor mine' });
  });

  it('gives back RAM, whatever pages of it are in use', async () => {
    const page = fc.oneof(fc.integer({ min: 0, max: 1023 }), fc.integer({ min: 250, max: 270 }));
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(page, { maxLength: 700 }), async (pages) => {
        const ram = ramWith(4 * MIB, pages);
        const copy = await roundTrip({ ...small, ram });
        expect(Buffer.compare(copy.ram, ram)).toBe(0);
        expect(copy.bytes.length).toBeLessThan(1000 + pages.length * (PAGE_BYTES + 16));
      }),
      { numRuns: 25 },
    );
  });

  it('of full RAM is written in pieces of a mebibyte, and tells how far it is', async () => {
    const ram = new Uint8Array(4 * MIB).fill(1);
    const pieces: number[] = [];
    const done: number[] = [];
    await writeSnapshot({ write: async (bytes) => void pieces.push(bytes.length) }, { ...small, ram }, (bytes, total) =>
      done.push(bytes, total),
    );
    expect(Math.max(...pieces)).toBeLessThan(MIB + 4096);
    expect(done).toEqual([1, 4, 2, 4, 3, 4, 4, 4].map((mib) => mib * MIB));
  });

  it('of 512 MiB of which little is used is small', async () => {
    const pages = [0, 1, 2, 70_000, 131_071];
    const ram = ramWith(512 * MIB, pages);
    const done: number[] = [];
    const bytes = await bytesOf({ ...small, ram });
    expect(bytes.length).toBeLessThan(pages.length * PAGE_BYTES + 1500);
    const into = new Uint8Array(ram.length);
    await readSnapshot(sourceOf(bytes), { ram: into }, (one) => done.push(one));
    expect(Buffer.compare(into, ram)).toBe(0);
    expect(done.at(-1)).toBe(512 * MIB);
  });
});

describe('a damaged snapshot', () => {
  it('is refused wherever it was cut off', async () => {
    const bytes = await bytesOf({ ...small, ram: ramWith(8192, [1]) });
    for (let length = 0; length < bytes.length; length++) {
      const source = sourceOf(bytes.subarray(0, length));
      const refused = expect.objectContaining({ name: 'SnapshotError', where: 'test.snap' });
      await expect(readSnapshot(source, {}), `${length} bytes`).rejects.toEqual(refused);
      await expect(readSnapshotHeader(source)).rejects.toEqual(refused);
    }
    await expect(readSnapshot(sourceOf(Buffer.concat([bytes, Uint8Array.of(0)])), {})).rejects.toMatchObject({
      fault: 'incomplete',
    });
  });

  it('is refused whichever bit of it is wrong', async () => {
    const bytes = await bytesOf(small);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const wrong = bytes.slice();
      wrong[bit >> 3] = (wrong[bit >> 3] as number) ^ (1 << (bit & 7));
      await expect(readSnapshot(sourceOf(wrong), {}), `bit ${bit}`).rejects.toMatchObject({ name: 'SnapshotError' });
    }
  });

  it('is refused whichever byte is another, and RAM is zeros again', async () => {
    const source = ramWith(600 * PAGE_BYTES, [0, 5, 6, 300]);
    source.fill(7, 10 * PAGE_BYTES, 290 * PAGE_BYTES);
    const bytes = await bytesOf({ ...small, ram: source });
    const ram = new Uint8Array(source.length);
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const wrong = bytes.slice();
        wrong[at] = (wrong[at] as number) ^ change;
        await expect(readSnapshot(sourceOf(wrong), { ram })).rejects.toMatchObject({ name: 'SnapshotError' });
        expect(ram.some((byte) => byte !== 0)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('is refused with sections left out, doubled or moved', async () => {
    const actor = (name: string) => ({ type: 'actr', payload: plain({ name, kind: 'x', version: 1, state: 0 }) });
    const machine = { type: 'mach', payload: plain({ ramBytes: 0, machine: {} }) };
    const whole = fileOf(machine, actor('a'), actor('b'));
    expect((await readSnapshot(sourceOf(whole), {})).actors.map(({ name }) => name)).toEqual(['a', 'b']);
    const length = 24 + actor('a').payload.length;
    const first = whole.length - 40 - 2 * length;
    const moved = whole.slice();
    moved.copyWithin(first, first + length, first + 2 * length);
    moved.set(whole.subarray(first, first + length), first + length);
    await expect(readSnapshot(sourceOf(moved), {})).rejects.toThrow(/do not belong together/);
    const foreign = whole.slice();
    foreign.set(fileOf(machine, actor('c')).subarray(first, first + length), first);
    await expect(readSnapshot(sourceOf(foreign), {})).rejects.toThrow(/do not belong together/);
    const shorter = Buffer.concat([whole.subarray(0, first), whole.subarray(first + length)]);
    await expect(readSnapshot(sourceOf(shorter), {})).rejects.toMatchObject({ fault: 'incomplete' });
    await expect(readSnapshot(sourceOf(fileOf(machine, actor('a'), actor('a'))), {})).rejects.toThrow(/a twice/);
    await expect(readSnapshot(sourceOf(fileOf(machine, machine)), {})).rejects.toThrow(/more than one machine/);
    await expect(readSnapshot(sourceOf(fileOf(actor('a'))), {})).rejects.toThrow(/begin with the machine/);
    await expect(readSnapshot(sourceOf(fileOf()), {})).rejects.toThrow(/begin with the machine/);
  });
});

describe('a snapshot from elsewhere', () => {
  const machine = { type: 'mach', payload: plain({ ramBytes: 2 * PAGE_BYTES, machine: {} }) };
  const zeros = { type: 'ram ', payload: words(0, 2, 0) };

  it('is refused when it is none, or of another version', async () => {
    await expect(readSnapshot(sourceOf(new Uint8Array(100)), {})).rejects.toMatchObject({ fault: 'not-a-snapshot' });
    await expect(readSnapshot(sourceOf(new Uint8Array(0)), {})).rejects.toMatchObject({ fault: 'not-a-snapshot' });
    const bytes = fileOf(machine, zeros);
    const { crc32 } = await import('node:zlib');
    bytes[8] = 2;
    bytes.set(words(crc32(bytes.subarray(0, 12))), 12);
    await expect(readSnapshotHeader(sourceOf(bytes))).rejects.toMatchObject({
      fault: 'format-version',
      message: 'test.snap: its format has version 2; this program knows version 1',
      remedy: 'Use the version of the program that made it.',
    });
  });

  it('may have parts that are unknown only where they say so', async () => {
    const payload = new Uint8Array(9);
    const optional = { type: 'note', payload, flags: FLAG_OPTIONAL };
    expect((await readSnapshot(sourceOf(fileOf(machine, optional, zeros)), {})).ramBytes).toBe(8192);
    await expect(readSnapshot(sourceOf(fileOf(machine, { type: 'not\n', payload }, zeros)), {})).rejects.toMatchObject({
      fault: 'unknown-section',
      message: "test.snap: it has a part 'not?' that this program does not know",
    });
  });

  it('goes into RAM of its size only', async () => {
    const ram = new Uint8Array(PAGE_BYTES);
    await expect(readSnapshot(sourceOf(fileOf(machine, zeros)), { ram })).rejects.toMatchObject({ fault: 'ram-size' });
  });

  it.each([
    ['nothing', undefined],
    ['a gap', words(1, 1, 0)],
    ['too few pages', words(0, 1, 0)],
    ['too many pages', words(0, 3, 0)],
    ['no pages', words(0, 0, 0)],
    ['a run outside', Buffer.concat([words(0, 2, 1, 2, 1), new Uint8Array(PAGE_BYTES)])],
    ['a run that wraps', Buffer.concat([words(0, 2, 1, 1, 0xffff_ffff), new Uint8Array(PAGE_BYTES)])],
    ['an empty run', words(0, 2, 1, 1, 0)],
    ['runs out of order', Buffer.concat([words(0, 2, 2, 1, 1, 0, 1), new Uint8Array(2 * PAGE_BYTES)])],
    ['the same page twice', Buffer.concat([words(0, 2, 2, 0, 1, 0, 1), new Uint8Array(2 * PAGE_BYTES)])],
    ['fewer bytes than pages', Buffer.concat([words(0, 2, 1, 0, 1), new Uint8Array(PAGE_BYTES - 1)])],
    ['more bytes than pages', words(0, 2, 0, 0)],
    ['more runs than bytes', words(0, 2, 0xffff_ffff)],
    ['no window', words(0, 2)],
  ])('is refused with RAM of %s', async (_what, payload) => {
    const sections = payload === undefined ? [] : [{ type: 'ram ', payload }];
    await expect(readSnapshot(sourceOf(fileOf(machine, ...sections)), {})).rejects.toMatchObject({ fault: 'damaged' });
  });

  it.each([
    ['a section longer than the file', { type: 'actr', payload: new Uint8Array(4), lengthBytes: 2 ** 52 }],
    ['a section of RAM that is too long', { type: 'ram ', payload: new Uint8Array(2 * MIB) }],
    ['an array longer than the data', { type: 'actr', payload: Uint8Array.of(11, 255, 255, 255, 255) }],
    ['bytes longer than the data', { type: 'actr', payload: Uint8Array.of(10, 255, 255, 255, 255) }],
    ['text longer than the data', { type: 'actr', payload: Uint8Array.of(8, 255, 255, 255, 255) }],
    ['data nested without end', { type: 'actr', payload: new Uint8Array(50_000).fill(11) }],
    ['arrays in arrays', { type: 'actr', payload: nestedArrays(20_000) }],
    ['names of names', { type: 'actr', payload: new Uint8Array(MIB).fill(14) }],
    ['bigints of bigints', { type: 'actr', payload: new Uint8Array(MIB).fill(7) }],
    ['an actor without a name', { type: 'actr', payload: plain({ kind: 'x', version: 1 }) }],
    ['no record', { type: 'actr', payload: plain([1]) }],
  ])('is refused with %s, without allocating for it', async (_what, section) => {
    const source = sourceOf(fileOf(machine, section, zeros));
    await expect(readSnapshot(source, {})).rejects.toMatchObject({ fault: 'damaged' });
  });

  it.each([-1, 1, 2 ** 53, Number.NaN, '4096', undefined])('is refused with %s bytes of RAM', async (ramBytes) => {
    const file = fileOf({ type: 'mach', payload: plain({ ramBytes, machine: {} }) }, zeros);
    await expect(readSnapshotHeader(sourceOf(file))).rejects.toMatchObject({ fault: 'damaged' });
  });

  it('with any bytes for an actor is read or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), fc.nat(12), async (noise, at) => {
        const payload = plain({ name: 'a', kind: 'b', version: 1, state: [1, { x: 2n }] });
        payload.set(noise.subarray(0, payload.length - at), at);
        const result = await readSnapshot(sourceOf(fileOf(machine, { type: 'actr', payload }, zeros)), {}).catch(
          (error: unknown) => error,
        );
        if (result instanceof Error) expect(result).toMatchObject({ name: 'SnapshotError' });
        else expect(result).toHaveProperty('actors');
      }),
      { numRuns: 300 },
    );
  });
});

/** [[[... with the right lengths. */
function nestedArrays(depth: number): Uint8Array {
  const bytes = new Uint8Array(depth * 5 + 1);
  for (let i = 0; i < depth; i++) bytes.set([11, 1, 0, 0, 0], i * 5);
  return bytes;
}
