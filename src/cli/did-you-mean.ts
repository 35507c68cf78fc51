/** The nearest of some names to what a user has typed, for error messages. */

/**
 * @returns the name with the fewest differing characters, undefined when none is near: case and the number of dashes
 * count for nothing, beyond that a third of the characters may differ
 */
export function nearest(typed: string, names: readonly string[]): string | undefined {
  const plain = simplify(typed);
  const ranked = names
    .map((name) => ({ name, distance: editDistance(plain, simplify(name)) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.floor(plain.length / 3) ? best.name : undefined;
}

function simplify(name: string): string {
  return name.replace(/^-+/, '').toLowerCase();
}

/** Levenshtein's distance: insertions, deletions and substitutions of one character. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, charA] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, charB] of [...b].entries()) {
      const substituted = (row[j] ?? 0) + (charA === charB ? 0 : 1);
      next.push(Math.min(substituted, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
