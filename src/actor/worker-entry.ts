/** Which file a worker loads: the TypeScript source where Node strips types, what was built from it otherwise. */

/** The package's root, seen from src/actor in the sources or dist/src/actor when built. */
const HERE = new URL(import.meta.url);
const IS_BUILT = HERE.pathname.endsWith('.js');
const ROOT = new URL(IS_BUILT ? '../../../' : '../../', HERE);

/** @returns whether this Node loads .ts files by itself (22.18, 23.6 and later) */
export function nodeStripsTypes(): boolean {
  return Boolean((process.features as { readonly typescript?: unknown }).typescript);
}

/**
 * The URL under which a worker can load a module that is known by its source's URL.
 * @param module `file:` URL of a .ts or .js module; a .ts outside this package is taken as it is
 */
export function workerEntry(module: string, stripsTypes: boolean = nodeStripsTypes()): string {
  if (!module.endsWith('.ts') || stripsTypes || !module.startsWith(ROOT.href)) return module;
  const path = module.slice(ROOT.href.length);
  return new URL(`dist/${path.slice(0, -'.ts'.length)}.js`, ROOT).href;
}
