/** Walking the IR: what a node and an effect are made of. */
import type { Body, Effect, Node } from './ir.ts';

/** The nodes a node is computed from. */
export function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'unary':
    case 'unbox':
    case 'box':
    case 'fclass':
      return [node.a];
    case 'binary':
      return [node.a, node.b];
    case 'select':
      return [node.cond, node.a, node.b];
    default:
      return [];
  }
}

/** The nodes an effect takes. */
export function nodesOf(effect: Effect): readonly Node[] {
  const nodes: Node[] = [];
  if ('addr' in effect) nodes.push(effect.addr);
  if ('value' in effect) nodes.push(effect.value);
  if (effect.op === 'csr') nodes.push(effect.source);
  if (effect.op === 'sfenceVma') nodes.push(effect.asid);
  if (effect.op === 'fp') nodes.push(...effect.args);
  return nodes;
}

/** All nodes of a body, each once. */
export function nodesIn(body: Body): ReadonlySet<Node> {
  const nodes = new Set<Node>();
  for (const effect of body.effects) for (const node of nodesOf(effect)) nodes.add(node);
  for (const commit of body.commits) {
    if ('value' in commit) nodes.add(commit.value);
    if ('cond' in commit) nodes.add(commit.cond);
    if ('target' in commit) nodes.add(commit.target);
  }
  // What is added meanwhile is visited as well.
  for (const node of nodes) for (const child of childrenOf(node)) nodes.add(child);
  return nodes;
}
