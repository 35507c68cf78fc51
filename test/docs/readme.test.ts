/** The README's example is a file that runs: example.ts, imported here, as a reader would have it. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { helpText } from '../../src/cli/options.ts';
import { defaultGuest } from '../../src/guest/default-guest.ts';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');
const readme = read('../../README.md');

describe('the README', () => {
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]);

  it('shows the example that runs below, in 15 lines at most', () => {
    expect(blocks).toEqual([read('example.ts')]);
    expect(read('example.ts').trimEnd().split('\n').length).toBeLessThanOrEqual(15);
  });

  it('names options that exist', () => {
    const help = helpText();
    const rows = [...readme.matchAll(/^\| `(-[\w-]+)/gm)].map((match) => match[1] ?? '');
    expect(rows.length).toBeGreaterThan(5);
    expect(rows.filter((name) => !help.includes(`  ${name} `) && !help.includes(`  ${name},`))).toEqual([]);
  });

  it('names scripts that exist', () => {
    const { scripts } = JSON.parse(read('../../package.json')) as { scripts: Record<string, string> };
    const named = [...readme.matchAll(/npm run ([\w-]+)/g)].map((match) => match[1] ?? '');
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });
});

const missing = await defaultGuest().then(
  () => null,
  (error: Error) => error.message,
);
describe("the README's example", async () => {
  if (missing === null) await import('./example.ts');
  else it.skip(`needs the default guest: ${missing}`, () => {});
});
