/* n-body by fused multiply-add: on x86 the instruction where the host has it, else libm's function, which is exact. */
#include "kernels.h"

#define MULTIPLY_ADD(a, b, c) __builtin_fma(a, b, c)
#ifdef __x86_64__
#define BODIES_FUNCTION __attribute__((target_clones("fma", "default")))
#else
#define BODIES_FUNCTION NOINLINE
#endif
#include "bodies.h"

const struct kernel fused_kernels[] = {
    {"nbody-fma", "float", bodies_run, 0},
    {0, 0, 0, 0},
};
