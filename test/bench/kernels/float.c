/*
 * Floating point, without fused multiply-add: all files are compiled with -ffp-contract=off, so that every operation
 * rounds by itself on every machine. No NaN comes up, no libm is called.
 */
#include "kernels.h"

#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#define BODIES_FUNCTION NOINLINE
#include "bodies.h"

#define MATRIX 128

/*
 * A matrix product. `quotient` divides whole numbers: by 3 the elements have all their digits, and nearly every operation
 * rounds; by a power of two none does in f64, so that the flag of inexact results stays clear all along.
 */
#define MATRIX_KERNEL(name, type, quotient, turns)                                                  \
  static type name##_a[MATRIX][MATRIX], name##_b[MATRIX][MATRIX], name##_c[MATRIX][MATRIX];         \
  static uint64_t name(void) {                                                                      \
    uint32_t seed = 9;                                                                              \
    uint64_t sum = 0;                                                                               \
    for (int turn = 0; turn < turns; turn++) {                                                      \
      for (int i = 0; i < MATRIX; i++)                                                              \
        for (int j = 0; j < MATRIX; j++) {                                                          \
          name##_a[i][j] = (type)(next_random(&seed) & 0xffff) / (type)(quotient);                  \
          name##_b[i][j] = (type)((int32_t)(next_random(&seed) & 0xffff) - 32768) / (type)(quotient); \
        }                                                                                           \
      for (int i = 0; i < MATRIX; i++)                                                              \
        for (int j = 0; j < MATRIX; j++) {                                                          \
          type element = 0;                                                                         \
          for (int k = 0; k < MATRIX; k++) element += name##_a[i][k] * name##_b[k][j];               \
          name##_c[i][j] = element;                                                                 \
        }                                                                                           \
      for (int i = 0; i < MATRIX; i++) sum = mix(sum, bits_of((double)name##_c[i][(i * 5 + turn) % MATRIX])); \
    }                                                                                               \
    return sum;                                                                                     \
  }

MATRIX_KERNEL(matrix_f64, double, 3, 6)
MATRIX_KERNEL(matrix_f32, float, 3, 6)
MATRIX_KERNEL(matrix_exact, double, 65536, 6)

#define WIDTH 480
#define HEIGHT 400
#define LIMIT 200

static uint64_t mandelbrot(void) {
  uint64_t sum = 0;
  for (int row = 0; row < HEIGHT; row++)
    for (int column = 0; column < WIDTH; column++) {
      double cr = column * (3.0 / WIDTH) - 2.0, ci = row * (2.0 / HEIGHT) - 1.0, r = 0, i = 0;
      int count = 0;
      for (; count < LIMIT; count++) {
        double rr = r * r, ii = i * i;
        if (rr + ii > 4.0) break;
        i = 2.0 * r * i + ci;
        r = rr - ii + cr;
      }
      sum = mix(sum, (uint64_t)count);
    }
  return sum;
}

/* A comparison that raises no flag, for which compilers save the flags and put them back. */
#define COMPARISONS 2000000

static uint64_t quiet_comparisons(void) {
  uint64_t sum = 0;
  double value = 1.0;
  for (int i = 0; i < COMPARISONS; i++) {
    value = __builtin_isless(value, 1000.0) ? value * 1.25 + 0.1 : __builtin_sqrt(value) * 0.5;
    sum += (uint64_t)value;
  }
  return mix(sum, bits_of(value));
}

const struct kernel float_kernels[] = {
    {"matrix-f64", "float", matrix_f64, 0},
    {"matrix-f32", "float", matrix_f32, 0},
    {"mandelbrot", "float", mandelbrot, 0},
    {"nbody", "float", bodies_run, 0},
    {"matrix-exact", "extra", matrix_exact, 0},
    {"isless", "extra", quiet_comparisons, 0},
    {0, 0, 0, 0},
};
