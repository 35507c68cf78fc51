/**
 * From a graph of blocks to WebAssembly's nested control flow, by the dominator tree (Ramsey, "Beyond Relooper", 2022).
 *
 * Where there are several entries, or edges that nesting cannot express, a dispatcher stands before everything: it is
 * told where to go on, at the beginning and along such edges.
 */

export interface Graph {
  /** Different ones; at least one. */
  readonly entries: readonly number[];
  /** A node is any number but DISPATCHER. */
  successors(node: number): readonly number[];
  /** How often control comes through a node, more or less. */
  heat(node: number): number;
}

/** The dispatcher's node. */
export const DISPATCHER = -1;

export interface Structure {
  /** DISPATCHER, or the only entry. */
  readonly root: number;
  /** Where the dispatcher goes: the entries in their order, then some targets of broken edges; none without a dispatcher. */
  readonly dispatched: readonly number[];
  /** Nodes that are reached, in reverse postorder; without the dispatcher. */
  readonly order: readonly number[];
  readonly index: ReadonlyMap<number, number>;
  /** Children in the dominator tree that are merges, the last in order first. */
  mergesBelow(node: number): readonly number[];
  /** Whether more than one forward edge leads to it, or the dispatcher goes there. */
  isMerge(node: number): boolean;
  isLoop(node: number): boolean;
  /** Whether it lies on a way from a loop's head back to it. */
  isInLoop(node: number): boolean;
  /** Each loop: where it is entered, and all its nodes. */
  readonly loops: readonly { readonly head: number; readonly body: ReadonlySet<number> }[];
  /** Whether an edge goes back to a loop's head, which dominates its source. */
  isBackEdge(from: number, to: number): boolean;
  /**
   * Loops within each other may have one head, where a region is entered at the inner one's. How many `node` is the head
   * of, and which of them a back edge repeats: 0 is the outermost.
   */
  loopsAt(node: number): number;
  loopOf(from: number, head: number): number;
  /** Whether an edge must go through the dispatcher, or out where that does not go to its target. */
  isBroken(from: number, to: number): boolean;
}

/** Loops with one head that are told from each other. */
const MAX_NEST = 4;
/** Back edges are of two loops where one is taken so many times as often as the other. */
const SELDOM = 8;

/** Reverse postorder of what is reached. */
function reversePostorder(root: number, successors: (node: number) => readonly number[]): number[] {
  const seen = new Set<number>();
  const postorder: number[] = [];
  const visit = (node: number): void => {
    seen.add(node);
    for (const next of successors(node)) if (!seen.has(next)) visit(next);
    postorder.push(node);
  };
  visit(root);
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
  let entries = graph.entries;
  for (;;) {
    const found = find(graph, entries, isBroken);
    for (const [source, target] of found.wrong.flatMap((edge) => edgesToBreak(graph, entries, found, edge))) {
      broken.set(source, (broken.get(source) ?? new Set()).add(target));
    }
    if (found.wrong.length > 0) continue;
    const made = finish(graph, found);
    if (broken.size === 0 || entries !== graph.entries) return made;
    // A second way into a loop would break it in turn, and its back edge is the one that is taken often.
    const targets = new Set([...broken.values()].flatMap((those) => [...those]));
    const isSafe = (to: number): boolean => made.loops.every(({ head, body }) => head === to || !body.has(to));
    entries = [...graph.entries, ...[...targets].filter((to) => isSafe(to) && !graph.entries.includes(to))];
    if (entries.length === graph.entries.length) return made;
  }
}

/** What there is without the broken edges, and the edges that are to be broken next, by indices. */
function find(graph: Graph, entries: readonly number[], isBroken: (from: number, to: number) => boolean): Found {
  const [only = DISPATCHER] = entries;
  const root = entries.length > 1 ? DISPATCHER : only;
  const successors = (node: number): readonly number[] =>
    node === DISPATCHER ? entries : graph.successors(node).filter((next) => !isBroken(node, next));
  const order = reversePostorder(root, successors);
  const index = new Map(order.map((node, i) => [node, i]));
  const predecessors: number[][] = order.map(() => []);
  const edges: [number, number][] = [];
  order.forEach((node, from) => {
    for (const next of new Set(successors(node))) {
      const to = index.get(next) ?? 0;
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
  return { root, dispatched: new Set(entries), order, index, predecessors, parent, wrong, isBroken };
}

/**
 * A loop that has a second way in: the edge back to its head, or, where control seldom comes that way, the edges along
 * which it does.
 */
function edgesToBreak(
  graph: Graph,
  entries: readonly number[],
  { order, predecessors }: Found,
  [from, to]: readonly [number, number],
): [source: number, target: number][] {
  const node = (i: number): number => order[i] ?? 0;
  // What lies on forward ways from the head to the edge's source.
  const reached = new Set([to]);
  for (let i = to + 1; i <= from; i++) if (predecessors[i]?.some((p) => p < i && reached.has(p))) reached.add(i);
  const body = new Set([from]);
  for (let i = from; i > to; i--)
    if (body.has(i)) for (const p of predecessors[i] ?? []) if (p < i && reached.has(p)) body.add(p);
  const ways = [...body].flatMap((i) =>
    i === to ? [] : (predecessors[i] ?? []).filter((p) => p < i && !body.has(p)).map((p): [number, number] => [p, i]),
  );
  const heat = ways.reduce((sum, [p]) => sum + graph.heat(node(p)), 0);
  const isEntered = ways.some(([p]) => node(p) === DISPATCHER || entries.includes(node(p)));
  if (ways.length === 0 || isEntered || heat >= graph.heat(node(from))) return [[node(from), node(to)]];
  return ways.map(([p, i]) => [node(p), node(i)]);
}

interface Found {
  readonly root: number;
  readonly dispatched: ReadonlySet<number>;
  readonly order: readonly number[];
  readonly index: ReadonlyMap<number, number>;
  readonly predecessors: readonly (readonly number[])[];
  readonly parent: readonly number[];
  /** Edges back to what does not dominate their source, by indices. */
  readonly wrong: readonly (readonly [number, number])[];
  isBroken(from: number, to: number): boolean;
}

function finish(graph: Graph, { root, dispatched, order, index, predecessors, parent, isBroken }: Found): Structure {
  const at = (node: number): number => index.get(node) ?? -1;
  const hasDispatcher = root === DISPATCHER;
  const isMergeIndex = (i: number): boolean =>
    (hasDispatcher && dispatched.has(order[i] ?? DISPATCHER)) ||
    (predecessors[i] ?? []).filter((p) => p < i).length > 1;
  const merges: number[][] = order.map(() => []);
  for (let i = order.length - 1; i > 0; i--) if (isMergeIndex(i)) merges[parent[i] ?? 0]?.push(order[i] ?? 0);
  const inLoop = new Set<number>();
  const nests = new Map<number, readonly Loop[]>();
  predecessors.forEach((from, head) => {
    const bodies = from
      .filter((p) => p >= head)
      .map((latch) => ({ latch, body: bodyOf(latch, head, predecessors), heat: graph.heat(order[latch] ?? 0) }));
    for (const { body } of bodies) for (const i of body) inLoop.add(i);
    if (bodies.length > 0) nests.set(head, nestOf(bodies));
  });
  return {
    root,
    dispatched: hasDispatcher ? [...dispatched] : [],
    order: hasDispatcher ? order.slice(1) : order,
    index,
    mergesBelow: (node) => merges[at(node)] ?? [],
    isMerge: (node) => isMergeIndex(at(node)),
    isLoop: (node) => nests.has(at(node)),
    isInLoop: (node) => inLoop.has(at(node)),
    loops: [...nests].flatMap(([head, nest]) =>
      nest.map(({ body }) => ({ head: order[head] ?? 0, body: new Set([...body].map((i) => order[i] ?? 0)) })),
    ),
    isBackEdge: (from, to) => at(to) <= at(from),
    loopsAt: (node) => nests.get(at(node))?.length ?? 0,
    loopOf: (from, head) => nests.get(at(head))?.findIndex(({ latches }) => latches.includes(at(from))) ?? 0,
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
  readonly heat: number;
}

interface Loop {
  readonly latches: number[];
  readonly body: Set<number>;
  /** Of its latches, together. */
  heat: number;
}

/**
 * The loops with one head, the outermost first. Outside is a body that holds all before it, and what comes round much
 * more seldom: so begins each round of an outer loop where a region was entered at the inner one's head.
 */
function nestOf(bodies: readonly Latch[]): Loop[] {
  const nest: Loop[] = [];
  for (const { latch, body, heat } of bodies.toSorted((a, b) => a.body.size - b.body.size || b.heat - a.heat)) {
    const inside = nest[0];
    const holds = (loop: Loop): boolean => body.size > loop.body.size && [...loop.body].every((i) => body.has(i));
    const isOutside = inside === undefined || holds(inside) || inside.heat > heat * SELDOM;
    if (isOutside && nest.length < MAX_NEST) {
      nest.unshift({ latches: [latch], body: new Set([...body, ...(inside?.body ?? [])]), heat });
    } else if (inside !== undefined) {
      inside.latches.push(latch);
      for (const i of body) inside.body.add(i);
      inside.heat += heat;
    }
  }
  return nest;
}
