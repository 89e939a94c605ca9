// What it costs to read a long log: a filtered page, a story from first to last, and what each event pays for being found.
import { type EventFigures, startChild } from './child.ts';
import { median, rounded } from './stats.ts';

export interface EventOptions {
  rows: number;
  pages: number;
}

export const eventDefaults: EventOptions = { rows: 10_000_000, pages: 3_000 };

/** Fills a database in a temporary folder and reads it, in one process on the measured core. */
export async function measureEvents(options: EventOptions, say: (line: string) => void): Promise<EventFigures> {
  const child = startChild('events');
  try {
    say(
      `events: filling a log with ${options.rows} rows (ten million take about 13 GB in a temporary folder, and some minutes), then ${options.pages} pages`,
    );
    return await child.call('events', options);
  } finally {
    await child.stop();
  }
}

const p99 = (series: readonly number[]): number => {
  const sorted = series.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * 0.99) - 1)] as number;
};

/** The machine-readable line, with exactly the fields that were agreed. */
export function eventsReport({ rows, page, trace, appendUs }: EventFigures) {
  return {
    bench: 'events',
    rows,
    page_p99_ms: rounded(p99(page), 2),
    trace_p99_ms: rounded(p99(trace), 2),
    append_us: rounded(appendUs, 1),
  };
}

/** The same for people. */
export function eventsTable(measured: EventFigures): string {
  const { rows, page, trace, appendUs, found, megabytes, fillSeconds } = measured;
  const line = (what: string, series: number[]) =>
    `${what.padEnd(34)}${median(series).toFixed(2).padStart(9)}${p99(series).toFixed(2).padStart(9)}${Math.max(
      ...series,
    )
      .toFixed(2)
      .padStart(9)}`;
  return [
    `milliseconds on SQLite, ${rows} events, Node ${process.version}`,
    '',
    `${''.padEnd(34)}${'median'.padStart(9)}${'p99'.padStart(9)}${'largest'.padStart(9)}`,
    line(`a page of 50 (${page.length} of 27 kinds)`, page),
    line(`a story (${trace.length})`, trace),
    '',
    `appended, with its place in the index: ${appendUs.toFixed(1)} CPU µs an event`,
    `${(found / page.length).toFixed(1)} events a page; ${megabytes.toFixed(0)} MB; filled in ${fillSeconds.toFixed(0)} s`,
  ].join('\n');
}
