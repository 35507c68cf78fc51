/** Graphs of blocks and the nesting made of them: loops, merges, and what must be left along irreducible edges. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Structure, structure } from '../../src/jit/structure.ts';

type Edges = Readonly<Record<number, readonly number[]>>;

const of = (edges: Edges): Structure => structure({ entry: 0, successors: (node) => edges[node] ?? [] });

/** All edges between nodes that are reached and not broken. */
function kept(edges: Edges, found: Structure): [number, number][] {
  return found.order.flatMap((from) =>
    (edges[from] ?? []).filter((to) => !found.isBroken(from, to)).map((to): [number, number] => [from, to]),
  );
}

describe('the structure of a graph', () => {
  it('knows a loop with a branch in it', () => {
    const found = of({ 0: [1], 1: [2, 3], 2: [4], 3: [4], 4: [1, 5], 5: [] });
    expect(found.isLoop(1)).toBe(true);
    expect([0, 2, 3, 4, 5].some((node) => found.isLoop(node))).toBe(false);
    expect([1, 2, 3, 4].every((node) => found.isInLoop(node))).toBe(true);
    expect([0, 5].some((node) => found.isInLoop(node))).toBe(false);
    expect(found.isMerge(4)).toBe(true);
    expect(found.mergesBelow(1)).toEqual([4]);
    expect(found.isBackEdge(4, 1)).toBe(true);
  });

  it('breaks a loop with two heads at one edge', () => {
    const edges = { 0: [1, 2], 1: [2], 2: [1] };
    const found = of(edges);
    const broken = [...found.order].flatMap((from) =>
      (edges[from as 0 | 1 | 2] ?? []).filter((to) => found.isBroken(from, to)).map((to) => [from, to]),
    );
    expect(broken).toHaveLength(1);
  });

  it('leaves only edges that nesting can express', () => {
    const node = fc.nat(9);
    const graphs = fc.array(fc.array(node, { maxLength: 3 }), { minLength: 10, maxLength: 10 });
    fc.assert(
      fc.property(graphs, (lists) => {
        const edges: Edges = { ...lists };
        const found = of(edges);
        const index = (at: number): number => found.index.get(at) ?? -1;
        const edgesKept = kept(edges, found);
        for (const [from, to] of edgesKept) {
          expect(found.isBackEdge(from, to)).toBe(index(to) <= index(from));
          if (!found.isBackEdge(from, to)) continue;
          // Without the loop's head its source is not reached.
          const reached = new Set<number>();
          const visit = (at: number): void => {
            if (at === to || reached.has(at)) return;
            reached.add(at);
            for (const [source, target] of edgesKept) if (source === at) visit(target);
          };
          visit(0);
          expect(reached.has(from)).toBe(false);
          expect(found.isLoop(to)).toBe(true);
        }
      }),
    );
  });
});
