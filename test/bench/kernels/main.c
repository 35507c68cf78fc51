/*
 * Runs a kernel once to warm up, then times it:
 *   cpu list              a line "NAME GROUP" for each kernel
 *   cpu NAME [REPEATS]    a line "NAME CHECKSUM MEDIAN MIN MAX", times in ns
 */
#include "kernels.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REPEATS_MAX 100

static const struct kernel *const tables[] = {integer_kernels, memory_kernels, control_kernels, float_kernels,
                                              fused_kernels, thread_kernels};

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

static int measure(const struct kernel *kernel, int repeats) {
  int64_t times[REPEATS_MAX];
  if (kernel->prepare) kernel->prepare();
  uint64_t sum = kernel->run();
  for (int i = 0; i < repeats; i++) {
    if (kernel->prepare) kernel->prepare();
    int64_t start = now_ns();
    uint64_t again = kernel->run();
    times[i] = now_ns() - start;
    if (again != sum) {
      fprintf(stderr, "%s: two runs give %016" PRIx64 " and %016" PRIx64 "\n", kernel->name, sum, again);
      return 1;
    }
  }
  qsort(times, repeats, sizeof times[0], by_size);
  int64_t median = (times[(repeats - 1) / 2] + times[repeats / 2]) / 2;
  printf("%s %016" PRIx64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", kernel->name, sum, median, times[0],
         times[repeats - 1]);
  return 0;
}

int main(int count, char **words) {
  int repeats = count > 2 ? atoi(words[2]) : 3;
  if (count < 2 || repeats < 1 || repeats > REPEATS_MAX) {
    fprintf(stderr, "cpu list | cpu NAME [REPEATS], at most %d\n", REPEATS_MAX);
    return 2;
  }
  int listing = strcmp(words[1], "list") == 0;
  for (unsigned i = 0; i < LENGTH(tables); i++)
    for (const struct kernel *kernel = tables[i]; kernel->name; kernel++) {
      if (listing) printf("%s %s\n", kernel->name, kernel->group);
      else if (strcmp(words[1], kernel->name) == 0) return measure(kernel, repeats);
    }
  if (listing) return 0;
  fprintf(stderr, "no kernel %s\n", words[1]);
  return 2;
}
