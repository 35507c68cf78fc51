/**
 * Shapes: the names of an object's properties, in their order. The ends of a channel number those that have come by, so that
 * an object is sent as its shape's number and its values. Bounded: what finds no number is sent with its names.
 */

export const MAX_SHAPES = 1024;
export const MAX_SHAPE_NAMES = 64;
/** Objects made name by name, before a function that makes them at once is worth its compilation. */
const USES_BEFORE_CODE = 16;

const NO_NUMBER = -1;

/** In the sender's tree: all shapes that begin with the same names. Those of one property more are found by its name. */
class ShapeNode {
  /** Of the shape that ends here, or negative. */
  number = NO_NUMBER;
  /** Most have one follower. */
  #name = '';
  #follower: ShapeNode | null = null;
  #others: Map<string, ShapeNode> | null = null;

  /** @returns null where no shape goes on so */
  behind(name: string): ShapeNode | null {
    if (name === this.#name && this.#follower !== null) return this.#follower;
    return this.#others?.get(name) ?? null;
  }

  /** The same, made where there is none. */
  grow(name: string): ShapeNode {
    const known = this.behind(name);
    if (known !== null) return known;
    const node = new ShapeNode();
    if (this.#follower === null) {
      this.#name = name;
      this.#follower = node;
    } else {
      this.#others ??= new Map();
      this.#others.set(name, node);
    }
    return node;
  }
}

/** The sender's shapes. */
export class ShapeTree {
  #root = new ShapeNode();
  /** Their names, by number. */
  readonly #numbered: (readonly string[])[] = [];

  get count(): number {
    return this.#numbered.length;
  }

  /** @returns of its shape; negative where that has none */
  numberOf(object: object): number {
    let node: ShapeNode | null = this.#root;
    for (const name in object) {
      node = node.behind(name);
      if (node === null) return NO_NUMBER;
    }
    return node.number;
  }

  /** @returns the names of a shape that has a number from now on, or null: it gets none */
  add(object: object): readonly string[] | null {
    if (this.count === MAX_SHAPES) return null;
    const names: string[] = [];
    for (const name in object) if (names.push(name) > MAX_SHAPE_NAMES) return null;
    this.#enter(names, this.count);
    this.#numbered.push(names);
    return names;
  }

  /** Takes the numbers from `count` on back. What only their shapes had in the tree goes, too: it stays bounded. */
  forget(count: number): void {
    if (this.#numbered.splice(count).length === 0) return;
    this.#root = new ShapeNode();
    for (const [number, names] of this.#numbered.entries()) this.#enter(names, number);
  }

  #enter(names: readonly string[], number: number): void {
    let node = this.#root;
    for (const name of names) node = node.grow(name);
    node.number = number;
  }
}

/** Gives the next value of the message that is being read. */
export type NextValue = () => unknown;
type Maker = (next: NextValue) => Record<string, unknown>;

/** The receiver's end of a shape. */
export class Shape {
  readonly #names: readonly string[];
  #uses = 0;
  #make: Maker | null = null;

  /** @param names none of them `__proto__` */
  constructor(names: readonly string[]) {
    this.#names = names;
  }

  /** @param next called for each property, in order */
  read(next: NextValue): Record<string, unknown> {
    if (this.#make !== null) return this.#make(next);
    if (++this.#uses === USES_BEFORE_CODE) this.#make = makerOf(this.#names);
    const object: Record<string, unknown> = {};
    for (const name of this.#names) object[name] = next();
    return object;
  }
}

/**
 * An object literal: V8 makes its hidden class once, where each assignment by a name that varies searches for the next one.
 * @returns null where the host does not let programs make code
 */
function makerOf(names: readonly string[]): Maker | null {
  const properties = names.map((name) => `${JSON.stringify(name)}: next()`);
  try {
    return new Function('next', `return { ${properties.join(', ')} };`) as Maker;
  } catch (error) {
    if (error instanceof EvalError) return null;
    throw error;
  }
}
