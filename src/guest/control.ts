/**
 * Debian's control format (deb-control(5), "deb822"): stanzas of `Field: value`, lines that go on begin with a blank.
 */

/** A stanza: field name in lower case -> value; the lines of a longer value are joined with '\n', without the blank. */
export type Stanza = ReadonlyMap<string, string>;

/** All stanzas of a text. Comments and an OpenPGP clear-text signature around them are left out. */
export function parseControl(text: string): Stanza[] {
  return withoutSignature(text)
    .split(/\n[ \t]*(?:\n[ \t]*)+/)
    .map(parseStanza)
    .filter((stanza) => stanza.size > 0);
}

/** The stanza of one package in an index that may be tens of megabytes long: only that stanza is parsed. */
export function findPackage(index: string, name: string): Stanza | undefined {
  const field = `Package: ${name}\n`;
  const start = index.startsWith(field) ? 0 : index.indexOf(`\n${field}`) + 1;
  if (start === 0 && !index.startsWith(field)) return undefined;
  const end = index.indexOf('\n\n', start);
  return parseStanza(index.slice(start, end < 0 ? index.length : end));
}

/** A real package's name among the dependencies of a meta-package, e.g. `linux-image-6.12.43+deb13-riscv64`. */
export function dependencyOf(stanza: Stanza, pattern: RegExp): string | undefined {
  const names = (stanza.get('depends') ?? '').split(/[,|]/).map((relation) => relation.trim().split(/[\s(:]/)[0] ?? '');
  return names.find((name) => pattern.test(name));
}

function parseStanza(text: string): Stanza {
  const fields = new Map<string, string>();
  let last = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    if (/^[ \t]/.test(line)) {
      if (last !== '') fields.set(last, `${fields.get(last)}\n${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    last = line.slice(0, colon).toLowerCase();
    fields.set(last, line.slice(colon + 1).trim());
  }
  return fields;
}

/** RFC 9580, section 7: a header and a blank line before the text, the signature after it. */
function withoutSignature(text: string): string {
  const signed = /^-----BEGIN PGP SIGNED MESSAGE-----\n(?:.+\n)*\n([\s\S]*?)\n-----BEGIN PGP SIGNATURE-----/.exec(text);
  return (signed?.[1] ?? text).replace(/^- /gm, '');
}
