import type { TestEvent } from 'node:test/reporters';

/** What one run of the test runner came to. */
export interface Totals {
  counts: Record<'tests' | 'suites' | 'passed' | 'failed' | 'cancelled' | 'skipped' | 'todo', number>;
  /** `file:line name` of each test that failed. */
  failures: string[];
  /** Milliseconds of its tests by file. */
  files: Record<string, number>;
}

/** A reporter for `node --test` that says nothing until the end, and then its {@link Totals} as JSON. */
// biome-ignore lint/style/noDefaultExport: the runner loads it by that name
export default async function* totals(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files: Totals['files'] = {};
  const failures: string[] = [];
  for await (const { type, data } of events) {
    // what runs a file, or several, is told as a test of that name
    if (type === 'test:complete' && data.nesting === 0 && data.file && !data.file.endsWith(data.name)) {
      files[data.file] = (files[data.file] ?? 0) + data.details.duration_ms;
    }
    // a suite fails because of its tests, and those have been named
    if (type === 'test:fail' && data.details.type !== 'suite' && !data.todo) {
      failures.push(`${data.file ?? ''}:${data.line ?? 0} ${data.name}`);
    }
    if (type === 'test:summary' && data.file === undefined) {
      const { topLevel: _, ...counts } = data.counts as Totals['counts'] & { topLevel: number };
      yield JSON.stringify({ counts, failures, files } satisfies Totals);
    }
  }
}
