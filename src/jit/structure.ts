/**
 * From a graph of blocks to WebAssembly's nested control flow, by the dominator tree (Ramsey, "Beyond Relooper", 2022).
 * Edges that would make the graph irreducible are told to the caller, who leaves the region along them.
 */

export interface Graph {
  readonly entry: number;
  successors(node: number): readonly number[];
}

export interface Structure {
  /** Nodes that are reached, in reverse postorder. */
  readonly order: readonly number[];
  readonly index: ReadonlyMap<number, number>;
  /** Children in the dominator tree that more than one forward edge leads to, the last in order first. */
  mergesBelow(node: number): readonly number[];
  isMerge(node: number): boolean;
  isLoop(node: number): boolean;
  /** Whether it lies on a way from a loop's head back to it. */
  isInLoop(node: number): boolean;
  /** Whether an edge goes back to a loop's head, which dominates its source. */
  isBackEdge(from: number, to: number): boolean;
  /** Whether an edge must not be taken within the structure. */
  isBroken(from: number, to: number): boolean;
}

/** Reverse postorder of what is reached along edges that are not broken. */
function reversePostorder(graph: Graph, isBroken: (from: number, to: number) => boolean): number[] {
  const seen = new Set<number>();
  const postorder: number[] = [];
  const visit = (node: number): void => {
    seen.add(node);
    for (const next of graph.successors(node)) if (!isBroken(node, next) && !seen.has(next)) visit(next);
    postorder.push(node);
  };
  visit(graph.entry);
  return postorder.reverse();
}

/** Immediate dominators by index (Cooper, Harvey, Kennedy). */
function dominators(order: readonly number[], predecessors: readonly (readonly number[])[]): number[] {
  const parent: number[] = order.map((_, i) => (i === 0 ? 0 : -1));
  const meet = (first: number, second: number): number => {
    let [a, b] = [first, second];
    while (a !== b) {
      if (a > b) a = parent[a] ?? 0;
      else b = parent[b] ?? 0;
    }
    return a;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (let i = 1; i < order.length; i++) {
      let best = -1;
      for (const p of predecessors[i] ?? []) {
        if (parent[p] === -1) continue;
        best = best === -1 ? p : meet(best, p);
      }
      if (parent[i] === best) continue;
      parent[i] = best;
      changed = true;
    }
  }
  return parent;
}

export function structure(graph: Graph): Structure {
  const broken = new Map<number, Set<number>>();
  const isBroken = (from: number, to: number): boolean => broken.get(from)?.has(to) === true;
  for (;;) {
    const order = reversePostorder(graph, isBroken);
    const index = new Map(order.map((node, i) => [node, i]));
    const predecessors: number[][] = order.map(() => []);
    const edges: [number, number][] = [];
    order.forEach((node, from) => {
      for (const next of new Set(graph.successors(node))) {
        const to = index.get(next);
        if (to === undefined || isBroken(node, next)) continue;
        predecessors[to]?.push(from);
        edges.push([from, to]);
      }
    });
    const parent = dominators(order, predecessors);
    const dominates = (a: number, b: number): boolean => {
      let at = b;
      while (at > a) at = parent[at] ?? 0;
      return at === a;
    };
    const wrong = edges.filter(([from, to]) => to <= from && !dominates(to, from));
    if (wrong.length === 0) return finish({ order, index, predecessors, parent, isBroken });
    for (const [from, to] of wrong) {
      const [source = 0, target = 0] = [order[from], order[to]];
      broken.set(source, (broken.get(source) ?? new Set()).add(target));
    }
  }
}

interface Found {
  readonly order: readonly number[];
  readonly index: ReadonlyMap<number, number>;
  readonly predecessors: readonly (readonly number[])[];
  readonly parent: readonly number[];
  isBroken(from: number, to: number): boolean;
}

function finish({ order, index, predecessors, parent, isBroken }: Found): Structure {
  const at = (node: number): number => index.get(node) ?? -1;
  const isMergeIndex = (i: number): boolean => (predecessors[i] ?? []).filter((p) => p < i).length > 1;
  const merges: number[][] = order.map(() => []);
  for (let i = order.length - 1; i > 0; i--) if (isMergeIndex(i)) merges[parent[i] ?? 0]?.push(order[i] ?? 0);
  const loops = new Set(order.filter((_, i) => (predecessors[i] ?? []).some((p) => p >= i)));
  const inLoop = new Set<number>();
  for (const [head, from] of order.flatMap((_, i) => (predecessors[i] ?? []).map((p) => [i, p] as const))) {
    if (from < head) continue;
    // Backwards from the edge's source up to the head, which dominates it.
    const rest = [from];
    const body = new Set([head]);
    for (let i = rest.pop(); i !== undefined; i = rest.pop()) {
      if (body.has(i)) continue;
      body.add(i);
      rest.push(...(predecessors[i] ?? []));
    }
    for (const i of body) inLoop.add(i);
  }
  return {
    order,
    index,
    mergesBelow: (node) => merges[at(node)] ?? [],
    isMerge: (node) => isMergeIndex(at(node)),
    isLoop: (node) => loops.has(node),
    isInLoop: (node) => inLoop.has(at(node)),
    isBackEdge: (from, to) => at(to) <= at(from),
    isBroken,
  };
}
