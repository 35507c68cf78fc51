/* Branches: recursion, an interpreter with indirect jumps, and a mixture in CoreMark's manner. */
#include "kernels.h"

#define FIB 35

/* noinline: the compiler would unroll the recursion and leave few calls. */
static NOINLINE uint64_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static volatile uint32_t fib_of = FIB;

static uint64_t recursion(void) { return fib(fib_of); }

enum { PUSH, ADD, XOR, SHIFT, STORE, LOAD, DECREMENT, JUMP_NOT_ZERO, MULTIPLY, DUPLICATE, END };

#define BYTECODE_TURNS 1600000

/*
 * A stack machine, each operation of which jumps to the next by a table of addresses. Its program counts register 0
 * down; in register 1 it mixes what it has.
 */
static uint64_t bytecode(void) {
  static const void *const labels[] = {&&push,     &&add,           &&xor,      &&shift,     &&store, &&load,
                                       &&decrement, &&jump_not_zero, &&multiply, &&duplicate, &&end};
  static const uint8_t program[] = {
      LOAD, 1, DUPLICATE, SHIFT, 7, XOR, LOAD, 0, ADD, PUSH, 31, MULTIPLY, STORE, 1,
      LOAD, 1, LOAD, 2, ADD, DUPLICATE, SHIFT, 3, XOR, STORE, 2, DECREMENT, 0, JUMP_NOT_ZERO, 0, END,
  };
  uint64_t registers[4] = {BYTECODE_TURNS, 1, 2, 3}, stack[16], *top = stack;
  const uint8_t *at = program;
#define NEXT goto *labels[*at++]
  NEXT;
push:
  *top++ = *at++;
  NEXT;
add:
  top--;
  top[-1] += *top;
  NEXT;
xor:
  top--;
  top[-1] ^= *top;
  NEXT;
shift:
  top[-1] >>= *at++;
  NEXT;
store:
  registers[*at++ & 3] = *--top;
  NEXT;
load:
  *top++ = registers[*at++ & 3];
  NEXT;
decrement:
  *top++ = --registers[*at++ & 3];
  NEXT;
jump_not_zero:
  at = *--top ? program + *at : at + 1;
  NEXT;
multiply:
  top--;
  top[-1] *= *top;
  NEXT;
duplicate:
  *top = top[-1];
  top++;
  NEXT;
end:
  return mix(registers[1], registers[2]);
}

/* The mixture: each turn works on a list, a small matrix and a text, and sums up what comes out. */
#define MIXED_TURNS 4500
#define ITEMS 120
#define SIDE 20
#define TEXT 400

struct item {
  struct item *next;
  int16_t *data;
};

static uint16_t crc16(uint16_t crc, uint16_t value) {
  for (int bit = 0; bit < 16; bit++, value >>= 1) {
    int carry = (crc ^ value) & 1;
    crc >>= 1;
    if (carry) crc ^= 0xa001;
  }
  return crc;
}

static int by_value(const struct item *a, const struct item *b) { return a->data[0] - b->data[0]; }
static int by_place(const struct item *a, const struct item *b) { return a->data[1] - b->data[1]; }

static struct item *merge(struct item *a, struct item *b, int (*compare_items)(const struct item *, const struct item *)) {
  struct item first = {0, 0}, *last = &first;
  while (a && b) {
    struct item **from = compare_items(a, b) <= 0 ? &a : &b;
    last->next = *from;
    last = *from;
    *from = last->next;
  }
  last->next = a ? a : b;
  return first.next;
}

/* From the bottom up: run i holds a sorted list of 2^i items. */
static NOINLINE struct item *sort_items(struct item *list, int (*compare_items)(const struct item *, const struct item *)) {
  struct item *runs[16] = {0};
  while (list) {
    struct item *run = list;
    list = list->next;
    run->next = 0;
    int i = 0;
    for (; runs[i]; i++) {
      run = merge(runs[i], run, compare_items);
      runs[i] = 0;
    }
    runs[i] = run;
  }
  for (int i = 0; i < 16; i++) list = merge(runs[i], list, compare_items);
  return list;
}

static NOINLINE uint16_t work_on_list(uint16_t crc, uint32_t *seed) {
  static struct item items[ITEMS];
  static int16_t data[ITEMS][2];
  for (int i = 0; i < ITEMS; i++) {
    data[i][0] = (int16_t)next_random(seed);
    data[i][1] = (int16_t)i;
    items[i] = (struct item){i + 1 < ITEMS ? &items[i + 1] : 0, data[i]};
  }
  struct item *list = sort_items(items, by_value), *turned = 0;
  for (int wanted = 0; wanted < ITEMS; wanted += 9) {
    struct item *found = list;
    while (found && found->data[1] != wanted) found = found->next;
    if (found) crc = crc16(crc, (uint16_t)found->data[0]);
  }
  while (list) {
    struct item *next = list->next;
    list->next = turned;
    turned = list;
    list = next;
  }
  crc = crc16(crc, (uint16_t)turned->data[1]);
  return crc16(crc, (uint16_t)sort_items(turned, by_place)->next->data[0]);
}

static NOINLINE uint16_t work_on_matrix(uint16_t crc, int16_t value) {
  static int16_t a[SIDE][SIDE], b[SIDE][SIDE];
  static int32_t c[SIDE][SIDE];
  int32_t sum = 0;
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      a[i][j] = (int16_t)(i * SIDE + j + value);
      b[i][j] = (int16_t)((i ^ j) * value);
    }
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      uint32_t element = 0;
      for (int k = 0; k < SIDE; k++) element += (uint32_t)(a[i][k] * b[k][j]);
      c[i][j] = (int32_t)(element >> 3 & 0xffff);
      sum += c[i][j] > 9000 ? 10 : c[i][j] & 7;
    }
  return crc16(crc, (uint16_t)sum);
}

enum state { START, SIGN, WHOLE, FRACTION, MARK, POWER, INVALID, STATES };

static enum state step(enum state state, char c) {
  int digit = c >= '0' && c <= '9';
  switch (state) {
  case START: return digit ? WHOLE : c == '+' || c == '-' ? SIGN : c == '.' ? FRACTION : INVALID;
  case SIGN: return digit ? WHOLE : c == '.' ? FRACTION : INVALID;
  case WHOLE: return digit ? WHOLE : c == '.' ? FRACTION : c == 'e' ? MARK : INVALID;
  case FRACTION: return digit ? FRACTION : c == 'e' ? MARK : INVALID;
  case MARK: return digit || c == '-' ? POWER : INVALID;
  case POWER: return digit ? POWER : INVALID;
  default: return INVALID;
  }
}

static NOINLINE uint16_t work_on_text(uint16_t crc, uint32_t *seed) {
  static const char letters[] = "0123456789012345678901234567890123456789,,,,,,,,...++--eex";
  static char text[TEXT];
  for (int i = 0; i < TEXT; i++) text[i] = letters[next_random(seed) % (sizeof letters - 1)];
  uint16_t counts[STATES] = {0};
  enum state state = START;
  for (int i = 0; i < TEXT; i++) {
    if (text[i] == ',') {
      counts[state]++;
      state = START;
    } else {
      state = step(state, text[i]);
    }
  }
  for (int i = 0; i < STATES; i++) crc = crc16(crc, counts[i]);
  return crc;
}

static uint64_t coremark_like(void) {
  uint32_t seed = 7;
  uint16_t crc = 0xffff;
  uint64_t sum = 0;
  for (int turn = 0; turn < MIXED_TURNS; turn++) {
    crc = work_on_list(crc, &seed);
    crc = work_on_matrix(crc, (int16_t)(crc & 0xfff));
    crc = work_on_text(crc, &seed);
    sum = mix(sum, crc);
  }
  return sum;
}

const struct kernel control_kernels[] = {
    {"fib", "integer", recursion, 0},
    {"bytecode", "integer", bytecode, 0},
    {"coremark-like", "integer", coremark_like, 0},
    {0, 0, 0, 0},
};
