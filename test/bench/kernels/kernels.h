/*
 * The CPU kernels: functions that compute for a while and give a checksum, the same on every machine. Each stands in a
 * table of its file; main.c runs and times them. All state that a run depends on is made anew by the run or by prepare.
 */
#pragma once
#include <stdint.h>
#include <string.h>

struct kernel {
  const char *name;
  /* "integer", "float", or "extra" for one that no mean counts. */
  const char *group;
  uint64_t (*run)(void);
  /* Before each run, not timed; may be null. */
  void (*prepare)(void);
};

/* Each ends with a nameless one. */
extern const struct kernel integer_kernels[], memory_kernels[], control_kernels[], float_kernels[], fused_kernels[],
    thread_kernels[];

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define NOINLINE __attribute__((noinline, noclone))

/* Numerical Recipes' generator: the same numbers everywhere. */
static inline uint32_t next_random(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return *seed >> 8;
}

static inline uint64_t mix(uint64_t sum, uint64_t value) {
  sum = (sum ^ value) * 0x100000001b3u;
  return sum ^ sum >> 29;
}

static inline uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
