/** How a hart executes instructions: `interpreter`, or `jit`: what is hot is translated to WebAssembly (src/jit). */
export const ACCEL_KINDS = ['interpreter', 'jit'] as const;

export type Accel = (typeof ACCEL_KINDS)[number];

export const ACCEL_DEFAULT: Accel = 'jit';
