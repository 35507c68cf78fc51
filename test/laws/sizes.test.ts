/** Files and functions that one can read. */
import type { Node } from 'oxc-parser';
import { describe, expect, it } from 'vitest';
import { files, read, type Source, sources } from './sources.ts';

const FILE_MAX_LINES = 500;
const FUNCTION_MAX_LINES = 80;

/** Tables: one row after the other, nothing to follow. Each with its reason. */
const LONG_FILES: Readonly<Record<string, string>> = {
  'src/hart/assembly/layout.generated.ts': 'generated from the state table',
  'test/support/program-snippets.ts': 'a table of program snippets',
};
/** `file#function`, with the reason. */
const LONG_FUNCTIONS: Readonly<Record<string, string>> = {};

const FUNCTIONS = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

function longFunctions({ path, code, program }: Source): { where: string; lines: number }[] {
  const lineOf = (offset: number): number => code.slice(0, offset).split('\n').length;
  const found: { where: string; lines: number }[] = [];
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (typeof node !== 'object' || node === null) return;
    const { type, start, end } = node as Node;
    if (FUNCTIONS.has(type)) {
      const lines = lineOf(end) - lineOf(start) + 1;
      const name = (node as { id?: { name?: string } | null }).id?.name ?? `line ${lineOf(start)}`;
      if (lines > FUNCTION_MAX_LINES) found.push({ where: `${path}#${name}`, lines });
    }
    Object.values(node).forEach(visit);
  };
  visit(program);
  return found;
}

const longOnes = sources('src', 'actors', 'machines').flatMap(longFunctions);

describe('sizes', () => {
  it(`a file has at most ${FILE_MAX_LINES} lines`, () => {
    const long = files(['src', 'actors', 'machines', 'test'], '.ts')
      .filter((path) => LONG_FILES[path] === undefined)
      .map((path) => `${path}: ${read(path).split('\n').length - 1} lines`)
      .filter((line) => Number(line.match(/(\d+) lines/)?.[1]) > FILE_MAX_LINES);
    expect(long).toEqual([]);
  });

  it(`a function has at most ${FUNCTION_MAX_LINES} lines`, () => {
    expect(longOnes.filter(({ where }) => LONG_FUNCTIONS[where] === undefined)).toEqual([]);
  });

  it('every exception still exists', () => {
    const all = files(['src', 'actors', 'machines', 'test'], '.ts');
    const gone = Object.keys(LONG_FILES).filter((path) => !all.includes(path) && !path.endsWith('.generated.ts'));
    const short = Object.keys(LONG_FUNCTIONS).filter((name) => !longOnes.some(({ where }) => where === name));
    expect([...gone, ...short]).toEqual([]);
  });
});
