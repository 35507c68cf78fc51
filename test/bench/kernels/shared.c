/*
 * What programs with threads do all the time, here with one: atomic accesses with the fences around them, and readings of
 * the clock. And comparisons that raise no flag, as in `sqrt()` that sets errno.
 */
#include "kernels.h"
#include <math.h>
#include <time.h>

#define ATOMICS 1000000

static uint64_t tickets, served, counted, greatest;

/* A ticket lock around a counter, a counter by compare and exchange, and a maximum. */
static uint64_t atomics(void) {
  uint32_t seed = 10;
  tickets = served = counted = greatest = 0;
  for (int i = 0; i < ATOMICS; i++) {
    uint64_t mine = __atomic_fetch_add(&tickets, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&served, __ATOMIC_ACQUIRE) != mine) continue;
    uint64_t random = next_random(&seed), seen = __atomic_load_n(&greatest, __ATOMIC_RELAXED);
    __atomic_store_n(&served, mine + 1, __ATOMIC_RELEASE);
    while (seen < random && !__atomic_compare_exchange_n(&greatest, &seen, random, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
      continue;
    __atomic_fetch_add(&counted, random & 7, __ATOMIC_SEQ_CST);
  }
  return mix(mix(served, counted), greatest);
}

#define READINGS 200000

static uint64_t clock_readings(void) {
  struct timespec before = {0, 0}, now;
  uint64_t forward = 0;
  for (int i = 0; i < READINGS; i++) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    forward += now.tv_sec > before.tv_sec || (now.tv_sec == before.tv_sec && now.tv_nsec >= before.tv_nsec);
    before = now;
  }
  return forward;
}

#define COMPARISONS 2000000

static uint64_t quiet_comparisons(void) {
  uint64_t sum = 0;
  double value = 1.0;
  for (int i = 0; i < COMPARISONS; i++) {
    value = isless(value, 1000.0) ? value * 1.25 + 0.1 : __builtin_sqrt(value) * 0.5;
    sum += (uint64_t)value;
  }
  return mix(sum, bits_of(value));
}

const struct kernel shared_kernels[] = {
    {"atomics", "extra", atomics, 0},
    {"clock", "extra", clock_readings, 0},
    {"isless", "extra", quiet_comparisons, 0},
    {0, 0, 0, 0},
};
