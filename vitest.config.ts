import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/tools.ts'],
    reporters: ['default', './test/support/counts-reporter.ts'],
    testTimeout: 120_000,
    hookTimeout: 300_000,
  },
});
