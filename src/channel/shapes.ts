/**
 * Shapes: the names of an object's properties, in their order, and the value of a property `type` that is a string, which
 * tells a message's kind. The ends of a channel number those that have come by, so that an object is sent as its shape's
 * number and its other values. Bounded: what finds no number is sent with its names.
 */

export const MAX_SHAPES = 1024;
export const MAX_SHAPE_NAMES = 64;
/** Objects made name by name, before a function that makes them at once is worth its compilation. */
const USES_BEFORE_CODE = 16;
/** The property whose value is part of the shape. */
const KIND_NAME = 'type';

const NO_NUMBER = -1;

/** What an object's shape is. */
export interface ShapeText {
  readonly names: readonly string[];
  /** The value of its property `type`; null where it has none, or another than a string. */
  readonly kind: string | null;
}

/** Whether a property's value is its shape's, and so not sent beside it. */
export function isOfShape(name: string, value: unknown): value is string {
  return name === KIND_NAME && typeof value === 'string';
}

/** By a string, each what follows it. */
class Followers {
  /** Most have one. */
  #text = '';
  #node: ShapeNode | null = null;
  #others: Map<string, ShapeNode> | null = null;

  find(text: string): ShapeNode | null {
    if (text === this.#text && this.#node !== null) return this.#node;
    return this.#others?.get(text) ?? null;
  }

  /** The same, made where there is none. */
  grow(text: string): ShapeNode {
    const known = this.find(text);
    if (known !== null) return known;
    const node = new ShapeNode();
    if (this.#node === null) {
      this.#text = text;
      this.#node = node;
    } else {
      this.#others ??= new Map();
      this.#others.set(text, node);
    }
    return node;
  }
}

/** In the sender's tree: all shapes that begin in the same way. */
export class ShapeNode {
  /** Of the shape that ends here, or negative. */
  number = NO_NUMBER;
  readonly names = new Followers();
  /** Behind the name of the property whose value is part of the shape. */
  readonly kinds = new Followers();

  /** @returns null where no shape goes on with this property */
  behind(name: string, value: unknown): ShapeNode | null {
    const node = this.names.find(name);
    return node !== null && isOfShape(name, value) ? node.kinds.find(value) : node;
  }

  /** The same, made where there is none. */
  grow(name: string, value: unknown): ShapeNode {
    const node = this.names.grow(name);
    return isOfShape(name, value) ? node.kinds.grow(value) : node;
  }
}

/** The sender's shapes. */
export class ShapeTree {
  /** Where all shapes begin. */
  root = new ShapeNode();
  /** By number. */
  readonly #numbered: ShapeText[] = [];

  get count(): number {
    return this.#numbered.length;
  }

  /** @returns a shape that has a number from now on, or null: it gets none */
  add(object: object): ShapeText | null {
    if (this.count === MAX_SHAPES) return null;
    const names: string[] = [];
    for (const name in object) if (names.push(name) > MAX_SHAPE_NAMES) return null;
    const value: unknown = names.includes(KIND_NAME) ? (object as Record<string, unknown>)[KIND_NAME] : null;
    const shape = { names, kind: typeof value === 'string' ? value : null };
    this.#enter(shape, this.count);
    this.#numbered.push(shape);
    return shape;
  }

  /** Takes the numbers from `count` on back. What only their shapes had in the tree goes, too: it stays bounded. */
  forget(count: number): void {
    if (this.#numbered.splice(count).length === 0) return;
    this.root = new ShapeNode();
    for (const [number, shape] of this.#numbered.entries()) this.#enter(shape, number);
  }

  #enter({ names, kind }: ShapeText, number: number): void {
    let node = this.root;
    for (const name of names) node = node.grow(name, name === KIND_NAME ? kind : null);
    node.number = number;
  }
}

/** Gives the next value of the message that is being read. */
export type NextValue = () => unknown;
type Maker = (next: NextValue) => Record<string, unknown>;

/** The receiver's end of a shape. */
export class Shape {
  readonly #text: ShapeText;
  #uses = 0;
  #make: Maker | null = null;

  /** @param text none of its names is `__proto__` */
  constructor(text: ShapeText) {
    this.#text = text;
  }

  /** @param next called for each property whose value is not the shape's, in order */
  read(next: NextValue): Record<string, unknown> {
    if (this.#make !== null) return this.#make(next);
    if (++this.#uses === USES_BEFORE_CODE) this.#make = makerOf(this.#text);
    const { names, kind } = this.#text;
    const object: Record<string, unknown> = {};
    for (const name of names) object[name] = kind !== null && name === KIND_NAME ? kind : next();
    return object;
  }
}

/**
 * An object literal: V8 makes its hidden class once, where each assignment by a name that varies searches for the next one.
 * @returns null where the host does not let programs make code
 */
function makerOf({ names, kind }: ShapeText): Maker | null {
  const valueText = (name: string): string => (kind !== null && name === KIND_NAME ? JSON.stringify(kind) : 'next()');
  const properties = names.map((name) => `${JSON.stringify(name)}: ${valueText(name)}`);
  try {
    return new Function('next', `return { ${properties.join(', ')} };`) as Maker;
  } catch (error) {
    if (error instanceof EvalError) return null;
    throw error;
  }
}
