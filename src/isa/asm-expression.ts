/**
 * The assembler's expressions: 64-bit integers, symbols, C's operators and precedence, and the functions `%hi`, `%lo`,
 * `%pcrel_hi` that split an address as the instructions need it.
 */
export interface Scope {
  /** The address of the statement. */
  readonly pc: bigint;
  /** The value of a symbol; throws if there is none. `1f` and `1b` are symbols, too. */
  readonly symbol: (name: string) => bigint;
}

const TOKEN =
  /\s*(?:(0[xX][0-9a-fA-F_]+|0[bB][01_]+|\d+[fb](?![\w])|\d[\d_]*)|'(\\?.)'|(%?[A-Za-z_.$][\w.$]*)|(<<|>>|[-+*/%&|^~()]))/y;

const PRECEDENCE: Readonly<Record<string, number>> = {
  '|': 1,
  '^': 2,
  '&': 3,
  '<<': 4,
  '>>': 4,
  '+': 5,
  '-': 5,
  '*': 6,
  '/': 6,
  '%': 6,
};

const ESCAPES: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, 0: 0, '\\': 92, "'": 39, '"': 34 };

/** The code of a character literal's or string's escape. */
export function escapeCode(letter: string): number {
  return ESCAPES[letter] ?? letter.charCodeAt(0);
}

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const token = TOKEN.exec(text);
    if (token === null) throw new Error(`cannot read '${text.slice(at)}'`);
    const [, number, character, name, operator] = token;
    if (character === undefined) tokens.push(number ?? name ?? operator ?? '');
    else tokens.push(String(character.length === 2 ? escapeCode(character.slice(1)) : character.charCodeAt(0)));
  }
  return tokens;
}

function apply(operator: string, a: bigint, b: bigint): bigint {
  switch (operator) {
    case '|':
      return a | b;
    case '^':
      return a ^ b;
    case '&':
      return a & b;
    case '<<':
      return a << (b & 63n);
    case '>>':
      return a >> (b & 63n);
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    default:
      if (b === 0n) throw new Error('division by zero');
      return operator === '/' ? a / b : a % b;
  }
}

/** The upper 20 bits, rounded so that the sign-extended lower 12 bits complete them. */
const high = (value: bigint): bigint => ((value + 0x800n) >> 12n) & 0xfffffn;
const low = (value: bigint): bigint => BigInt.asIntN(12, value);

function callFunction(name: string, value: bigint, pc: bigint): bigint {
  switch (name) {
    case '%hi':
      return high(value);
    case '%lo':
      return low(value);
    case '%pcrel_hi':
      return high(value - pc);
    case '%pcrel_lo_of_previous':
      // Our own, for la and call: the rest of a distance from the auipc four bytes before.
      return low(value - (pc - 4n));
    default:
      throw new Error(`no function ${name}`);
  }
}

class Parser {
  readonly #tokens: readonly string[];
  readonly #scope: Scope;
  #at = 0;

  constructor(tokens: readonly string[], scope: Scope) {
    this.#tokens = tokens;
    this.#scope = scope;
  }

  parse(): bigint {
    const value = this.#binary(1);
    if (this.#at < this.#tokens.length) throw new Error(`unexpected '${this.#tokens[this.#at]}'`);
    return value;
  }

  #binary(least: number): bigint {
    let value = this.#unary();
    for (;;) {
      const operator = this.#tokens[this.#at] ?? '';
      const precedence = PRECEDENCE[operator] ?? 0;
      if (precedence < least) return value;
      this.#at++;
      value = apply(operator, value, this.#binary(precedence + 1));
    }
  }

  #unary(): bigint {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Error('an expression is missing');
    if (token === '-') return -this.#unary();
    if (token === '+') return this.#unary();
    if (token === '~') return ~this.#unary();
    if (token === '(') return this.#closing();
    if (/^\d+[fb]$/.test(token) && !token.startsWith('0b')) return this.#scope.symbol(token);
    if (/^\d/.test(token)) return BigInt(token.replaceAll('_', ''));
    if (token === '.') return this.#scope.pc;
    if (!token.startsWith('%')) return this.#scope.symbol(token);
    if (this.#tokens[this.#at++] !== '(') throw new Error(`${token} needs parentheses`);
    return callFunction(token, this.#closing(), this.#scope.pc);
  }

  #closing(): bigint {
    const value = this.#binary(1);
    if (this.#tokens[this.#at++] !== ')') throw new Error("')' is missing");
    return value;
  }
}

/** @throws Error if the text is no expression or a symbol is unknown. */
export function evaluate(text: string, scope: Scope): bigint {
  return new Parser(tokenize(text), scope).parse();
}
