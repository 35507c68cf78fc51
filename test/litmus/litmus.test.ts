/**
 * RVWMO on this host: harts in threads of their own over one memory. What is forbidden must not come out; how often a
 * relaxed outcome did is printed where BOTTOMHALF_LITMUS_ITERATIONS sets the iterations of each test.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { CASES } from './cases.ts';
import { runLitmus } from './litmus.ts';
import { HartPool } from './pool.ts';

const LONG_RUN = process.env['BOTTOMHALF_LITMUS_ITERATIONS'];
const ITERATIONS = Number(LONG_RUN ?? 200_000);
const TIMEOUT_MS = 60_000 + ITERATIONS / 10;

describe.each([
  { how: 'interpreted', translated: false, iterations: ITERATIONS },
  { how: 'translated', translated: true, iterations: Math.ceil(ITERATIONS / 4) },
])('litmus tests, $how', ({ translated, iterations }) => {
  const pool = new HartPool(translated);
  afterAll(() => pool.close());

  it.each(CASES)(
    '$name',
    async (litmus) => {
      const result = await runLitmus(pool, litmus, iterations);
      if (LONG_RUN !== undefined)
        process.stdout.write(
          `${litmus.name} ${JSON.stringify({ ...result, histogram: Object.fromEntries(result.histogram) })}\n`,
        );
      expect(result.iterations).toBeGreaterThanOrEqual(iterations);
      expect(result.forbidden, JSON.stringify([...result.histogram])).toBe(0);
    },
    TIMEOUT_MS,
  );
});
