/** The package as somebody else installs it: what is in it, and that it works where it lies alone with what it needs. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NODE_FLAGS } from '../bench/process-console.ts';
import { ROOT } from './sources.ts';

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  bin: Record<string, string>;
  dependencies: Record<string, string>;
  exports: Record<string, string | Record<string, string>>;
  scripts: Record<string, string>;
  version: string;
};

describe('the package', () => {
  let home = '';
  let contents: string[] = [];

  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'bottomhalf-package-'));
    const run = (command: string, ...args: string[]) => execFileSync(command, args, { cwd: ROOT, encoding: 'utf8' });
    const packed = run('npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', home);
    const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }];
    contents = files.map(({ path }) => path);
    const modules = join(home, 'node_modules');
    mkdirSync(join(modules, 'bottomhalf'), { recursive: true });
    run('tar', '-xzf', join(home, filename), '-C', join(modules, 'bottomhalf'), '--strip-components=1');
    for (const name of Object.keys(manifest.dependencies)) {
      symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
    }
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  const node = (...args: string[]) => execFileSync(process.execPath, args, { cwd: home, encoding: 'utf8' });

  it('is started as it is measured', () => {
    expect(manifest.scripts['start']).toContain(['node', ...NODE_FLAGS].join(' '));
  });

  it('has what its manifest names', () => {
    const targets = Object.values(manifest.exports).flatMap((one) =>
      typeof one === 'string' ? [one] : Object.values(one),
    );
    const named = [...targets, ...Object.values(manifest.bin)].map((path) => path.replace(/^\.\//, ''));
    expect(named.filter((path) => !contents.includes(path))).toEqual([]);
  });

  it('has the compiled hart, the licence and nothing that only a checkout needs', () => {
    expect(contents).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'dist/src/hart/runtime.wasm']));
    expect(contents).toContain('dist/src/hart/interpreter.wasm');
    expect(
      contents.filter((path) => /^dist\/test\/|\/hart\/build\.|\/reference\/|\.wat$|\.tsbuildinfo$/.test(path)),
    ).toEqual([]);
  });

  it('has nothing left whose source is gone', () => {
    const sourceOf = (path: string): string => path.replace(/^dist\//, '').replace(/(\.d\.ts|\.js)$/, '.ts');
    const compiled = contents.filter((path) => /^dist\/(?!bundle\/).*(\.d\.ts|\.js)$/.test(path));
    expect(compiled.filter((path) => !existsSync(join(ROOT, sourceOf(path))))).toEqual([]);
  });

  it('has no bundle that nothing leads to', () => {
    const inPackage = (path: string): string => readFileSync(join(home, 'node_modules', 'bottomhalf', path), 'utf8');
    const code = contents
      .filter((path) => path.endsWith('.js'))
      .map(inPackage)
      .join('\n');
    const bundles = contents.filter((path) => path.startsWith('dist/bundle/'));
    expect(bundles.length).toBeGreaterThan(10);
    expect(bundles.filter((path) => !code.includes(`/${path.replace(/^.*\//, '')}`))).toEqual([]);
  });

  it('runs as a command', () => {
    const bin = join('node_modules', 'bottomhalf', manifest.bin['bottomhalf'] ?? '');
    expect(node(bin, '--version')).toBe(`bottomhalf ${manifest.version}\n`);
  });

  it.each(Object.keys(manifest.exports).filter((name) => !name.endsWith('.json')))('can be imported: %s', (name) => {
    const path = join('bottomhalf', name).replaceAll('\\', '/');
    const script = `console.log(Object.keys(await import('${path}')).length)`;
    expect(Number(node('--input-type=module', '-e', script))).toBeGreaterThan(0);
  });
});
