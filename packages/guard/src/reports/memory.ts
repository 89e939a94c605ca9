/** Reports in memory: all that wait where there is no directory, else those that are about to be written. */
import { fits, type Line } from './line.ts';
import type { Losses } from './losses.ts';
import { batchFrom, type Store } from './store.ts';

export interface Memory extends Store {
  /** Keeps it if there is room for it; else it is lost. Never throws. */
  add(line: Line): void;
  /** All that is there, which is then no longer kept here. */
  takeAll(): Line[];
  /** What was taken and could not be put elsewhere; it comes first again. */
  putBack(lines: readonly Line[]): void;
  readonly length: number;
}

export function inMemory(maxBytes: number, losses: Losses): Memory {
  let lines: Line[] = [];
  let bytes = 0;
  return {
    get length() {
      return lines.length;
    },
    add(line) {
      if (!fits(line, bytes, maxBytes)) return losses.note('full', line);
      lines.push(line);
      bytes += line.bytes;
    },
    takeAll() {
      const all = lines;
      lines = [];
      bytes = 0;
      return all;
    },
    putBack(earlier) {
      const later = lines;
      lines = [];
      bytes = 0;
      for (const line of [...earlier, ...later]) this.add(line);
    },
    async oldest() {
      const taken = batchFrom(lines);
      if (taken.length === 0) return undefined;
      return {
        lines: taken,
        async settled() {
          lines.splice(0, taken.length);
          for (const line of taken) bytes -= line.bytes;
        },
      };
    },
  };
}
