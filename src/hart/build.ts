/**
 * Build step: writes the hart's layout for AssemblyScript from the one table in state.ts, then compiles
 * src/hart/assembly to dist/src/hart/runtime.wasm, and generates interpreter.wasm. Run by `npm run build`, after tsc.
 */
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import { MAX_MEMORY_PAGES } from '../memory/layout.ts';
import { buildInterpreter } from './interpreter.ts';
import { layoutText } from './layout-text.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const sources = `${root}src/hart/assembly/`;
const output = `${root}dist/src/hart/runtime.wasm`;
/** Whoever loads a module meanwhile gets the old one, whole. */
const unfinished = `${output}.unfinished`;

function newest(folder: string): number {
  return Math.max(...readdirSync(folder).map((name) => statSync(folder + name).mtimeMs));
}

async function build(): Promise<void> {
  const layoutFile = `${sources}layout.generated.ts`;
  const text = layoutText();
  if (!existsSync(layoutFile) || readFileSync(layoutFile, 'utf8') !== text) writeFileSync(layoutFile, text);
  if (existsSync(output) && statSync(output).mtimeMs > newest(sources)) return;
  const { error, stderr } = await asc.main([
    'index.ts',
    ...['--baseDir', sources, '--outFile', unfinished, '--textFile', `${root}dist/src/hart/runtime.wat`],
    ...['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
    ...['--enable', 'threads', '--enable', 'simd', '--enable', 'bulk-memory', '--enable', 'sign-extension'],
    ...['--runtime', 'stub', '--noAssert', '-O3', '--converge', '--use', 'abort='],
  ]);
  if (error !== null) {
    process.stderr.write(stderr.toString());
    throw error;
  }
  renameSync(unfinished, output);
}

await build();
writeFileSync(unfinished, buildInterpreter(MAX_MEMORY_PAGES));
renameSync(unfinished, `${root}dist/src/hart/interpreter.wasm`);
