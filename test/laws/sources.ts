/** The project's own files, parsed, for the tests of its laws. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Program, parseSync } from 'oxc-parser';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Another language: AssemblyScript, with its own compiler and lint. */
const ASSEMBLY = 'src/hart/assembly/';

export interface Source {
  /** From the project's root, with forward slashes. */
  readonly path: string;
  /** Its text with comments blanked out, line breaks kept. */
  readonly code: string;
  readonly lines: number;
  readonly program: Program;
  readonly imports: readonly Import[];
}

export interface Import {
  /** As written: a package's name or a relative path. */
  readonly request: string;
  /** The file meant by a relative path, from the root; null for a package. */
  readonly path: string | null;
  /** Only its types are used. */
  readonly isType: boolean;
  /** Loaded when it is needed, or by another thread. */
  readonly isLater: boolean;
}

/** Every TypeScript file below these folders, the AssemblyScript ones apart. */
export function sources(...folders: readonly string[]): Source[] {
  return files(folders, '.ts')
    .filter((path) => !path.startsWith(ASSEMBLY))
    .map(parse);
}

/** Paths below these folders that end in `suffix`. */
export function files(folders: readonly string[], suffix: string): string[] {
  return folders
    .filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
    )
    .filter((path) => path.endsWith(suffix))
    .sort();
}

export function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function parse(path: string): Source {
  const text = read(path);
  const parsed = parseSync(path, text);
  let code = text;
  for (const { start, end } of parsed.comments) {
    code = code.slice(0, start) + code.slice(start, end).replace(/[^\n]/g, ' ') + code.slice(end);
  }
  const { staticImports, staticExports, dynamicImports } = parsed.module;
  const requests: { request: string; isType: boolean; isLater?: boolean }[] = [
    ...staticImports.map(({ moduleRequest, entries }) => ({
      request: moduleRequest.value,
      isType: entries.length > 0 && entries.every((entry) => entry.isType),
    })),
    ...staticExports
      .flatMap(({ entries }) => entries)
      .flatMap(({ moduleRequest, isType }) =>
        moduleRequest === null || moduleRequest === undefined ? [] : [{ request: moduleRequest.value, isType }],
      ),
    ...dynamicImports
      .map(({ moduleRequest }) => text.slice(moduleRequest.start, moduleRequest.end))
      .filter((request) => /^'.*'$/.test(request))
      .map((request) => ({ request: request.slice(1, -1), isType: false, isLater: true })),
    // A worker's module is named by its URL.
    ...[...code.matchAll(/new URL\(\s*'(\.[^']*\.ts)'/g)].map(([, request = '']) => {
      return { request, isType: false, isLater: true };
    }),
  ];
  const imports = requests.map(({ request, isType, isLater = false }) => ({
    request,
    isType,
    isLater,
    path: request.startsWith('.') ? normalize(join(dirname(path), request)) : null,
  }));
  return { path, code, lines: text.split('\n').length - 1, program: parsed.program, imports };
}

/** Whether a path is one of these files, or below one of these folders (which end in a slash). */
export function isListed(path: string, list: readonly string[]): boolean {
  return list.some((entry) => (entry.endsWith('/') ? path.startsWith(entry) : path === entry));
}
