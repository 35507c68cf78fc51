/* Loads and stores: copies large and small, a stride, a chase of pointers, sorting by libc, strings. */
#include "kernels.h"
#include <stdlib.h>

#define MIB (1 << 20)
#define LARGE (12 * MIB)
/* Behind the first by a length that no TLB's or cache's is a divisor of. */
#define LARGE_AWAY (LARGE + 19 * 4096 + 256)
#define LARGE_TURNS 24

static uint64_t arena[32 * MIB / 8];

static void prepare_arena(void) {
  uint32_t seed = 3;
  for (size_t i = 0; i < LENGTH(arena); i++) arena[i] = next_random(&seed);
}

static uint64_t memcpy_large(void) {
  uint8_t *at = (uint8_t *)arena;
  uint64_t sum = 0;
  for (int turn = 0; turn < LARGE_TURNS; turn++) {
    arena[turn] = turn;
    memcpy(at + LARGE_AWAY, at, LARGE);
    sum = mix(sum, arena[LARGE_AWAY / 8 + turn]);
    arena[LARGE_AWAY / 8 + 100 + turn] = sum;
    memcpy(at, at + LARGE_AWAY, LARGE);
  }
  return sum;
}

#define SMALL_TURNS 1600000

/* The compiler must not see which function it is, or it copies by itself. */
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;

static uint64_t memcpy_small(void) {
  static uint8_t from[4096], to[4096];
  for (int i = 0; i < 4096; i++) from[i] = (uint8_t)(i * 7);
  void *(*call)(void *, const void *, size_t) = copy;
  for (uint32_t i = 0; i < SMALL_TURNS; i++) call(to + (i * 40 & 0xfff) / 2, from + (i * 24 & 0x7ff), 16 + (i * 13 & 47));
  uint64_t sum = 0;
  for (int i = 0; i < 4096; i++) sum = mix(sum, to[i]);
  return sum;
}

/* Words, odd so that all are visited: each access is on another line, fifteen are on a page of 4 KiB. */
#define STRIDE 33
#define STRIDE_TURNS 14000000

static uint64_t stride(void) {
  uint64_t sum = 0;
  size_t at = 0;
  for (uint32_t i = 0; i < STRIDE_TURNS; i++) {
    uint64_t value = arena[at];
    sum += value;
    arena[at] = value ^ 0x55;
    at = (at + STRIDE) & (LENGTH(arena) - 1);
  }
  return sum;
}

#define NODES (8 * MIB / 8)
#define CHASE_TURNS 1200000

static uint64_t *nodes[NODES];

/* Sattolo's shuffle: one cycle through all. */
static void prepare_chase(void) {
  static uint32_t order[NODES];
  uint32_t seed = 4;
  if (nodes[0]) return;
  for (uint32_t i = 0; i < NODES; i++) order[i] = i;
  for (uint32_t i = NODES - 1; i > 0; i--) {
    uint32_t j = next_random(&seed) % i, other = order[i];
    order[i] = order[j];
    order[j] = other;
  }
  for (uint32_t i = 0; i < NODES; i++) nodes[i] = (uint64_t *)&nodes[order[i]];
}

static uint64_t chase(void) {
  uint64_t **at = &nodes[0];
  for (uint32_t i = 0; i < CHASE_TURNS; i++) at = (uint64_t **)*at;
  return (uint64_t)(at - nodes);
}

#define SORTED 400000

static int compare(const void *a, const void *b) {
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return (left > right) - (left < right);
}

static uint64_t sort(void) {
  static uint32_t numbers[SORTED];
  uint32_t seed = 5;
  uint64_t sum = 0;
  for (int i = 0; i < SORTED; i++) numbers[i] = next_random(&seed);
  qsort(numbers, SORTED, sizeof numbers[0], compare);
  for (int i = 0; i < SORTED; i++) sum = mix(sum, numbers[i]);
  return sum;
}

#define TEXT (256 * 1024)
#define TEXT_TURNS 75
#define BUCKETS 4096

static char text[TEXT + 1];

static void prepare_text(void) {
  uint32_t seed = 6;
  for (int i = 0; i < TEXT; i++) {
    uint32_t value = next_random(&seed);
    text[i] = value % 6 == 0 ? ' ' : (char)('a' + (value >> 8) % 6);
  }
}

/* Words are found, hashed (FNV-1a) and looked up by comparison of strings; then each line's end is searched. */
static uint64_t strings(void) {
  static struct {
    const char *word;
    uint32_t length, count;
  } table[BUCKETS];
  uint64_t sum = 0;
  for (int turn = 0; turn < TEXT_TURNS; turn++) {
    memset(table, 0, sizeof table);
    uint32_t collisions = 0;
    for (const char *at = text; *at;) {
      while (*at == ' ') at++;
      const char *word = at;
      uint32_t hash = 2166136261u;
      for (; *at && *at != ' '; at++) hash = (hash ^ (uint8_t)*at) * 16777619u;
      uint32_t length = (uint32_t)(at - word), slot = (hash ^ hash >> 15) % BUCKETS;
      if (table[slot].word && table[slot].length == length && strncmp(table[slot].word, word, length) == 0) {
        table[slot].count++;
      } else {
        collisions += table[slot].word != 0;
        table[slot].word = word;
        table[slot].length = length;
        table[slot].count = 1;
      }
    }
    for (int i = 0; i < BUCKETS; i++) sum = mix(sum, table[i].count);
    sum = mix(sum, collisions);
    for (const char *at = text; (at = strchr(at, 'c')) != 0; at++) sum += (uint64_t)(at - text);
  }
  return sum;
}

const struct kernel memory_kernels[] = {
    {"memcpy-large", "integer", memcpy_large, prepare_arena},
    {"memcpy-small", "integer", memcpy_small, 0},
    {"stride", "integer", stride, prepare_arena},
    {"chase", "integer", chase, prepare_chase},
    {"qsort", "integer", sort, 0},
    {"strings", "integer", strings, prepare_text},
    {0, 0, 0, 0},
};
