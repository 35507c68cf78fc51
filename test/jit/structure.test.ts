/** Graphs of blocks and the nesting made of them: loops, merges, and what must be left along irreducible edges. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DISPATCHER, type Structure, structure } from '../../src/jit/structure.ts';

type Edges = Readonly<Record<number, readonly number[]>>;

const of = (edges: Edges, entries: readonly number[] = [0], heat: Readonly<Record<number, number>> = {}): Structure =>
  structure({ entries, successors: (node) => edges[node] ?? [], heat: (node) => heat[node] ?? 0 });

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

  it('tells loops with one head from each other', () => {
    // Entered at the inner loop's head: 1 is repeated by itself, and by way of 2.
    const found = of({ 1: [1, 2], 2: [1, 3], 3: [] }, [1]);
    expect(found.loopsAt(1)).toBe(2);
    expect(found.loopOf(2, 1)).toBe(0);
    expect(found.loopOf(1, 1)).toBe(1);
    expect(found.loops.map(({ head, body }) => [head, [...body].sort()])).toEqual([
      [1, [1, 2]],
      [1, [1]],
    ]);
  });

  it('takes latches of one loop together', () => {
    // One loop with two ways back, neither of which goes through all of the other.
    const found = of({ 0: [1, 2], 1: [0, 3], 2: [0], 3: [] });
    expect(found.loopsAt(0)).toBe(1);
    expect([found.loopOf(1, 0), found.loopOf(2, 0)]).toEqual([0, 0]);
  });

  it('tells them from each other where one is taken much more often', () => {
    // Entered in front of the inner loop's end: 1 is a few moves, and 2 the way round outside, past 1.
    const found = of({ 0: [1, 2], 1: [0], 2: [0, 3], 3: [] }, [0], { 0: 99, 1: 98, 2: 2 });
    expect(found.loopsAt(0)).toBe(2);
    expect([found.loopOf(1, 0), found.loopOf(2, 0)]).toEqual([1, 0]);
    expect(found.loops.map(({ head, body }) => [head, [...body].sort()])).toEqual([
      [0, [0, 1, 2]],
      [0, [0, 1]],
    ]);
  });

  describe('with a loop that has two heads', () => {
    const edges = { 0: [4], 4: [1, 2], 1: [2], 2: [1, 3], 3: [] };
    const brokenEdges = (found: Structure): [number, number][] =>
      found.order.flatMap((from) =>
        (edges[from as keyof typeof edges] ?? [])
          .filter((to) => found.isBroken(from, to))
          .map((to): [number, number] => [from, to]),
      );

    it('breaks the edge back where control comes in both ways', () => {
      const found = of(edges, [0], { 4: 9, 1: 1, 2: 1 });
      expect(brokenEdges(found)).toHaveLength(1);
      expect(found.loops).toEqual([]);
    });

    it('breaks the second way in where control seldom comes that way', () => {
      const found = of(edges, [0], { 4: 1, 1: 9, 2: 9 });
      expect(brokenEdges(found)).toEqual([[4, 2]]);
      expect(found.isBackEdge(2, 1)).toBe(true);
    });
  });

  it('puts a dispatcher before several entries', () => {
    const found = of({ 2: [4], 4: [2, 6], 6: [] }, [2, 6]);
    expect(found.root).toBe(DISPATCHER);
    expect(found.dispatched).toEqual([2, 6]);
    expect(found.order).not.toContain(DISPATCHER);
    expect([2, 6].every(found.isMerge)).toBe(true);
    expect(found.isLoop(2)).toBe(true);
  });

  it('lets the dispatcher go on where an edge had to be broken, but into the middle of a loop', () => {
    // From 2 and from 3 into the loop of 4 and 5, which goes on to 6; and back to 2, past the other entry.
    const found = of({ 2: [4], 3: [5], 4: [5], 5: [4, 6], 6: [2] }, [2, 3], { 2: 1, 3: 1, 4: 9, 5: 9, 6: 1 });
    const intoLoop = found.dispatched
      .slice(2)
      .filter((to) => found.loops.some(({ head, body }) => head !== to && body.has(to)));
    expect(intoLoop).toEqual([]);
  });

  it('leaves only edges that nesting can express', () => {
    const node = fc.nat(9);
    const graphs = fc.array(fc.array(node, { maxLength: 3 }), { minLength: 10, maxLength: 10 });
    fc.assert(
      fc.property(graphs, fc.uniqueArray(node, { minLength: 1, maxLength: 3 }), (lists, entries) => {
        const edges: Edges = { ...lists };
        const found = of(edges, entries);
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
          for (const start of found.dispatched.length > 0 ? found.dispatched : [found.root]) visit(start);
          expect(reached.has(from)).toBe(false);
          expect(found.isLoop(to)).toBe(true);
        }
      }),
    );
  });
});
