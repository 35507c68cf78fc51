/** The README's example, run as it stands there, against the built package. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import * as vitest from 'vitest';

const { describe, expect, it } = vitest;
const MAX_LINES = 15;
const IMPORT = /^import (\{[^}]*\}) from '([^']+)';$/;

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => code);
const example = blocks.find((code) => code.includes('createVm')) ?? '';

describe("the README's example", () => {
  it(`has at most ${MAX_LINES} lines`, () => {
    expect(example).not.toBe('');
    expect(example.trimEnd().split('\n').length).toBeLessThanOrEqual(MAX_LINES);
  });

  describe('as it stands', async () => {
    // Its imports become calls, since code in a string cannot import; a name of this package means what was built.
    const body = example
      .split('\n')
      .map((line) => line.replace(IMPORT, "const $1 = await load('$2');"))
      .join('\n');
    const require = createRequire(import.meta.url);
    const load = (name: string): Promise<unknown> =>
      name === 'vitest'
        ? Promise.resolve(vitest)
        : import(/* @vite-ignore */ pathToFileURL(require.resolve(name)).href);
    const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor as new (
      ...parts: string[]
    ) => (load: (name: string) => Promise<unknown>) => Promise<void>;
    await new AsyncFunction('load', body)(load);
  });
});
