/**
 * `npm run build`: sources to dist/, always as one whole. What came from a source that is gone is removed; the
 * WebAssembly is made even when the type checker complains, because JavaScript was emitted then as well, and is removed
 * when it cannot be made: JavaScript never runs with the modules of another layout. Last come the bundles (bundle.js).
 * Incremental: seconds.
 *
 * Plain JavaScript, because nothing has been compiled yet when it runs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { BUNDLE, bundle, DIST, ROOT } from './bundle.js';

/** What tsc remembers of its last run; without it, it emits everything. */
const BUILD_INFO = join(DIST, 'tsconfig.tsbuildinfo');
const COMPILED = ['src', 'actors', 'machines'];
/** Has a compiler of its own. */
const ASSEMBLY = join('src', 'hart', 'assembly');

/** @returns the files below a folder of `root`, from the root; none where the folder does not exist */
function filesBelow(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(join(root, '/').length));
}

function removeOrphans() {
  for (const file of [...COMPILED, 'test'].flatMap((folder) => filesBelow(DIST, folder))) {
    const stem = /^(.*?)(?:\.d\.ts|\.js)$/.exec(file)?.[1];
    if (stem === undefined || existsSync(join(ROOT, `${stem}.ts`)) || existsSync(join(ROOT, `${stem}.js`))) continue;
    rmSync(join(DIST, file));
  }
}

/** Files that somebody took out of dist/ would stay away: tsc looks at the sources only. */
function emitAllWhereSomethingIsMissing() {
  const isWhole = COMPILED.flatMap((folder) => filesBelow(ROOT, folder))
    .filter((file) => /(?<!\.d)\.ts$/.test(file) && !file.startsWith(ASSEMBLY))
    .every((file) => existsSync(join(DIST, file.replace(/\.ts$/, '.js'))));
  if (!isWhole) rmSync(BUILD_INFO, { force: true });
}

/** @returns its exit status */
function run(...args) {
  return spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' }).status ?? 1;
}

removeOrphans();
emitAllWhereSomethingIsMissing();
// What runs from here on until they are made anew does not find them, rather than find old ones.
rmSync(BUNDLE, { recursive: true, force: true });
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
const typeStatus = run(tsc, '-p', 'tsconfig.json');
const wasmStatus = run(join(DIST, 'src', 'hart', 'build.js'));
if (wasmStatus !== 0) {
  for (const name of ['runtime', 'interpreter']) rmSync(join(DIST, 'src', 'hart', `${name}.wasm`), { force: true });
}
await bundle();
process.exitCode = typeStatus || wasmStatus;
