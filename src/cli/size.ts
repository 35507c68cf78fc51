/** Sizes as QEMU's -m reads them. */

const bytesOfSuffix: Readonly<Record<string, number>> = {
  '': 2 ** 20,
  B: 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

/** `512`, `512M`, `1.5g` -> bytes; without a suffix mebibytes are meant. undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, digits, suffix = ''] = /^(\d+(?:\.\d+)?)([bkmgt]?)$/i.exec(text) ?? [];
  const unit = bytesOfSuffix[suffix.toUpperCase()];
  return digits === undefined || unit === undefined ? undefined : Math.floor(Number(digits) * unit);
}

/** Bytes as a user would write them: `3584M`. */
export function formatSize(bytes: number): string {
  return bytes % 2 ** 30 === 0 ? `${bytes / 2 ** 30}G` : `${bytes / 2 ** 20}M`;
}
