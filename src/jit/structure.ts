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
  /**
   * Loops within each other may have one head, where a region is entered at the inner one's. How many `node` is the head
   * of, and which of them a back edge repeats: 0 is the outermost.
   */
  loopsAt(node: number): number;
  loopOf(from: number, head: number): number;
  /** Whether an edge must not be taken within the structure. */
  isBroken(from: number, to: number): boolean;
}

/** Loops with one head that are told from each other. */
const MAX_NEST = 4;

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
  const inLoop = new Set<number>();
  const nests = new Map<number, readonly (readonly number[])[]>();
  predecessors.forEach((from, head) => {
    const bodies = from.filter((p) => p >= head).map((latch) => ({ latch, body: bodyOf(latch, head, predecessors) }));
    for (const { body } of bodies) for (const i of body) inLoop.add(i);
    if (bodies.length > 0) nests.set(head, nestOf(bodies));
  });
  return {
    order,
    index,
    mergesBelow: (node) => merges[at(node)] ?? [],
    isMerge: (node) => isMergeIndex(at(node)),
    isLoop: (node) => nests.has(at(node)),
    isInLoop: (node) => inLoop.has(at(node)),
    isBackEdge: (from, to) => at(to) <= at(from),
    loopsAt: (node) => nests.get(at(node))?.length ?? 0,
    loopOf: (from, head) => nests.get(at(head))?.findIndex((latches) => latches.includes(at(from))) ?? 0,
    isBroken,
  };
}

/** Backwards from a back edge's source up to the head, which dominates it. */
function bodyOf(latch: number, head: number, predecessors: readonly (readonly number[])[]): Set<number> {
  const rest = [latch];
  const body = new Set([head]);
  for (let i = rest.pop(); i !== undefined; i = rest.pop()) {
    if (body.has(i)) continue;
    body.add(i);
    rest.push(...(predecessors[i] ?? []));
  }
  return body;
}

interface Latch {
  readonly latch: number;
  readonly body: ReadonlySet<number>;
}

/** The latches of each of the loops with one head, the outermost loop first: a body that holds all before it is outside. */
function nestOf(bodies: readonly Latch[]): number[][] {
  const nest: number[][] = [];
  const inside = new Set<number>();
  for (const { latch, body } of bodies.toSorted((a, b) => a.body.size - b.body.size)) {
    const isOutside = body.size > inside.size && [...inside].every((i) => body.has(i));
    if (isOutside && nest.length < MAX_NEST) nest.unshift([]);
    nest[0]?.push(latch);
    for (const i of body) inside.add(i);
  }
  return nest;
}
