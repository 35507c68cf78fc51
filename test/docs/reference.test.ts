/** The generated documents are what the tables say. `UPDATE_DOCS=1` (`npm run docs`) writes them first. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { REFERENCE } from './reference.ts';

const folder = new URL('../../docs/', import.meta.url);

describe('docs/', () => {
  it.each(Object.entries(REFERENCE))('%s is up to date', (name, generate) => {
    const file = new URL(name, folder);
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, generate());
    expect(readFileSync(file, 'utf8'), 'run `npm run docs`').toBe(generate());
  });

  it('holds nothing else', () => {
    expect(readdirSync(folder).sort()).toEqual(Object.keys(REFERENCE));
  });
});
