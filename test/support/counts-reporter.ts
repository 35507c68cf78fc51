/**
 * Closes a run with one plain line of counts. In continuous integration a skipped test is a failure: there every tool
 * can be installed, so a skip means that something went untested.
 */
import type { Reporter, TestModule } from 'vitest/node';

export default class CountsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    let brokenModules = 0;
    for (const module of modules) {
      if (module.state() === 'failed' && [...module.children.allTests('failed')].length === 0) brokenModules += 1;
      for (const test of module.children.allTests()) counts[test.result().state] += 1;
    }
    const failed = counts.failed + brokenModules + counts.pending;
    if (process.env['CI'] === 'true' && counts.skipped > 0) {
      process.stdout.write(`${counts.skipped} skipped tests count as failures in CI\n`);
      process.exitCode = 1;
    }
    process.stdout.write(`${counts.passed} passed, ${failed} failed, ${counts.skipped} skipped\n`);
  }
}
