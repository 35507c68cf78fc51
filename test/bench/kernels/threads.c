/* What programs with threads do all the time, here with one: atomic accesses with their fences, and readings of the clock. */
#include "kernels.h"
#include <time.h>

#define ATOMICS 1000000

static uint64_t tickets, served, counted, greatest;

/* A ticket lock, a maximum by compare and exchange, and a counter in full order. */
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

const struct kernel thread_kernels[] = {
    {"atomics", "extra", atomics, 0},
    {"clock", "extra", clock_readings, 0},
    {0, 0, 0, 0},
};
