/**
 * A frozen machine as a file of the host. It is written under another name beside its own, made durable, and renamed:
 * whatever happens meanwhile, the name has the old file or the whole new one.
 */
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SnapshotError } from './error.ts';
import type { SnapshotSource } from './read.ts';
import { type SnapshotContents, type SnapshotProgress, writeSnapshot } from './write.ts';

/** Guest RAM may hold keys: the file is its owner's alone. */
const MODE = 0o600;
/** Temporary names to try, where a killed process left some. */
const NAMES_MAX = 100;

/** A source that is to be closed. */
export interface SnapshotFile extends SnapshotSource {
  close(): Promise<void>;
}

/** @throws SnapshotError, with a file that was there before untouched and nothing left beside it */
export async function writeSnapshotFile(
  path: string,
  contents: SnapshotContents,
  onProgress?: SnapshotProgress,
): Promise<void> {
  const target = await targetOf(path);
  const { handle, temporary } = await hostCall(path, 'write', () => createBeside(target));
  try {
    await writeAndSync(handle, path, contents, onProgress);
    await hostCall(path, 'write', () => rename(temporary, target));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
  await syncFolder(dirname(target));
}

/** @throws SnapshotError */
export async function openSnapshotFile(path: string): Promise<SnapshotFile> {
  const handle = await hostCall(path, 'read', () => open(path, 'r'));
  try {
    const found = await hostCall(path, 'read', () => handle.stat());
    if (!found.isFile()) throw notAFile(path);
    return {
      name: path,
      lengthBytes: found.size,
      read: (offsetBytes, into) => readAll(handle, path, offsetBytes, into),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** What is to be replaced: a link's target, not the link; only ever a plain file. */
async function targetOf(path: string): Promise<string> {
  const target = await realpath(path).catch(() => path);
  const found = await stat(target).catch(() => null);
  if (found !== null && !found.isFile()) throw notAFile(path);
  return target;
}

async function createBeside(target: string): Promise<{ handle: FileHandle; temporary: string }> {
  for (let number = 0; ; number++) {
    const temporary = `${target}.part-${process.pid}-${number}`;
    try {
      return { handle: await open(temporary, 'wx', MODE), temporary };
    } catch (error) {
      if (number === NAMES_MAX || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

async function writeAndSync(
  handle: FileHandle,
  path: string,
  contents: SnapshotContents,
  onProgress: SnapshotProgress | undefined,
): Promise<void> {
  try {
    const write = (bytes: Uint8Array): Promise<void> => hostCall(path, 'write', () => writeAll(handle, bytes));
    await writeSnapshot({ write }, contents, onProgress);
    await hostCall(path, 'write', () => handle.sync());
  } finally {
    await handle.close();
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
}

async function readAll(handle: FileHandle, path: string, offsetBytes: number, into: Uint8Array): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await hostCall(path, 'read', () => handle.read(into, at, into.length - at, offsetBytes + at));
    if (bytesRead === 0) {
      throw new SnapshotError('incomplete', path, 'it became shorter while it was read', 'Read it again.');
    }
    at += bytesRead;
  }
}

/** A rename is durable once its folder is; not every host can do that. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

async function hostCall<T>(path: string, verb: 'read' | 'write', call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const { reason, remedy } = REASONS[code ?? ''] ?? { reason: message, remedy: 'Check the path and its disk.' };
    throw new SnapshotError(
      'host',
      path,
      `the snapshot cannot be ${verb === 'read' ? 'read' : 'written'}: ${reason}`,
      remedy,
    );
  }
}

const REASONS: Readonly<Record<string, { readonly reason: string; readonly remedy: string }>> = {
  ENOENT: { reason: 'there is no such file or folder', remedy: 'Check the path.' },
  EACCES: { reason: 'no permission', remedy: "Check the file's and its folder's permissions." },
  ENOSPC: { reason: 'the disk is full', remedy: 'Make room for the RAM that the guest uses, or choose another disk.' },
  EFBIG: { reason: 'the file system takes no file of this length', remedy: 'Choose another disk.' },
};

function notAFile(path: string): SnapshotError {
  return new SnapshotError('host', path, 'it is not a plain file', 'Name a file, or a path where there is none.');
}
