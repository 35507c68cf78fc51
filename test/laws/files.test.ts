/** Files that nothing uses, and documents that lead nowhere. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { files, isListed, ROOT, read, sources } from './sources.ts';

/** What is started from outside, or used by tests alone on purpose; the package's exports come on top. */
const ENTRIES: Readonly<Record<string, string>> = {
  'src/cli/main.ts': 'the command',
  'src/hart/build.ts': 'run by `npm run build`',
  'src/actor/worker-main.ts': 'the first module of a worker, named by URL',
  'src/snapshot/ram-hash.ts': 'whether two machines have the same RAM, which tests ask',
  'src/hart/reference/': 'the oracle, which tests run beside the interpreter',
};

const DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'DECISIONS.md'];

function exportedFiles(): string[] {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, { default: string } | string>;
  };
  return Object.values(exports).flatMap((entry) => {
    const path = typeof entry === 'string' ? entry : entry.default;
    return path.endsWith('.js') ? [path.replace('./dist/', '').replace(/\.js$/, '.ts')] : [];
  });
}

describe('files', () => {
  it('are all used: imported by another, or an entry point', () => {
    const all = sources('src', 'actors', 'machines');
    const used = new Set(all.flatMap(({ imports }) => imports.map(({ path }) => path)));
    const entries = [...Object.keys(ENTRIES), ...exportedFiles()];
    const dead = all
      .map(({ path }) => path)
      .filter((path) => !path.endsWith('.d.ts') && !used.has(path) && !isListed(path, entries));
    expect(dead).toEqual([]);
  });

  it('that are imported exist', () => {
    const missing = sources('src', 'actors', 'machines', 'test').flatMap(({ path, imports }) =>
      imports
        .filter((one) => one.path !== null && !one.path.startsWith('dist/') && !existsSync(join(ROOT, one.path)))
        .map(({ request }) => `${path} imports ${request}`),
    );
    expect(missing).toEqual([]);
  });

  it('that are named as entry points exist', () => {
    const missing = [...Object.keys(ENTRIES), ...exportedFiles()].filter((path) => !existsSync(join(ROOT, path)));
    expect(missing).toEqual([]);
  });
});

describe('documents', () => {
  const existing = [...new Set([...DOCUMENTS, ...files(['docs', 'examples'], '.md')])].filter((path) =>
    existsSync(join(ROOT, path)),
  );

  it('are there', () => {
    expect(DOCUMENTS.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it.each(existing)('%s: every link leads somewhere', (document) => {
    const text = read(document);
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '');
    const broken = links
      .filter((link) => !/^(https?:|mailto:)/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#');
        const target = path === '' ? document : join(dirname(document), path);
        if (!existsSync(join(ROOT, target))) return true;
        return anchor !== undefined && target.endsWith('.md') && !anchors(read(target)).includes(anchor);
      });
    expect(broken).toEqual([]);
  });

  it.each(existing)('%s: every file named in it exists', (document) => {
    const named = [...read(document).matchAll(/`((?:src|actors|machines|test)\/[\w./-]+)`/g)].map((m) => m[1] ?? '');
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

/** The anchors that a renderer gives a document's headings. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
