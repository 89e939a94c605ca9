/** Where reports wait until the server has them. */
import { mostReports } from '@bailiwick/protocol';
import type { Line } from './line.ts';

export interface Store {
  /** The oldest, as many as travel together; undefined if nothing waits. */
  oldest(): Promise<Taken | undefined>;
}

export interface Taken {
  lines: readonly Line[];
  /** They need not be kept any longer. */
  settled(): Promise<void>;
}

/** Leaves room for what is around them. */
const mostBytes = 200 * 1024;

/** How many of these, from `start` on, travel in one request; at least one. */
export function batchFrom(lines: readonly Line[], start = 0): Line[] {
  const batch: Line[] = [];
  let bytes = 0;
  for (let index = start; index < lines.length && batch.length < mostReports; index++) {
    const line = lines[index] as Line;
    if (batch.length > 0 && bytes + line.bytes > mostBytes) break;
    batch.push(line);
    bytes += line.bytes;
  }
  return batch;
}
