/**
 * What is loaded at run time, in a few files: `dist/bundle/`. Loading a module costs Node two thirds of a millisecond,
 * whatever is in it, and a machine would load 270 on the main thread and 150 on each of its others.
 *
 * Each entry in dist/ (what package.json names, and the first modules of threads) becomes one line that leads to its
 * bundle. So a module is known by one address, which is that of its source.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

export const ROOT = fileURLToPath(new URL('../', import.meta.url));
export const DIST = join(ROOT, 'dist');
export const BUNDLE = join(DIST, 'bundle');
/** Found by their URL, when a thread starts. */
const THREADS = ['src/actor/worker-main', 'actors/board/virt-vcpu', 'actors/cpu/translator-thread'];

/** @returns the entries' paths from the root, without their extension */
function entries() {
  const { bin, exports, dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const named = [...Object.values(bin), ...Object.values(exports).map((one) => one.default ?? one)];
  const stems = named.map((path) => /^\.\/dist\/(.*)\.js$/.exec(path)?.[1]).filter((stem) => stem !== undefined);
  return { stems: [...stems, ...THREADS], dependencies: Object.keys(dependencies) };
}

/** Where a module lies is asked for to find others: it stays where dist/ has it. */
const locate = {
  name: 'locate',
  transform(code, id) {
    if (!code.includes('import.meta.url')) return null;
    const path = relative(BUNDLE, join(DIST, relative(ROOT, id).replace(/\.ts$/, '.js'))).replaceAll('\\', '/');
    return { code: code.replaceAll('import.meta.url', `new URL('${path}', import.meta.url).href`), map: null };
  },
};

/** Behind the compiler, which has written the entries as they are. @throws Error */
export async function bundle() {
  const { stems, dependencies } = entries();
  const nameOf = (stem) => stem.replaceAll('/', '-');
  const build = await rolldown({
    input: Object.fromEntries(stems.map((stem) => [nameOf(stem), join(ROOT, `${stem}.ts`)])),
    platform: 'node',
    external: (id) => id.startsWith('node:') || dependencies.some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [locate],
  });
  await build.write({
    dir: BUNDLE,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'common-[hash].js',
  });
  await build.close();
  for (const stem of stems) {
    const file = join(DIST, `${stem}.js`);
    const path = relative(dirname(file), join(BUNDLE, `${nameOf(stem)}.js`)).replaceAll('\\', '/');
    const hashbang = readFileSync(file, 'utf8').startsWith('#!') ? '#!/usr/bin/env node\n' : '';
    writeFileSync(file, `${hashbang}export * from '${path}';\n`);
  }
}
