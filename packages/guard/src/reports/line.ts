/** One report on its way: its JSON, and what has to be known of it to decide about its room. */
import type { Report } from '@bailiwick/protocol';

export type Kind = 'allowed' | 'refused' | 'summary';

export interface Line {
  /** JSON, without a line break. */
  text: string;
  /** In UTF-8, the line break included. */
  bytes: number;
  kind: Kind;
  /** When it happened, ms since 1970. */
  at: number;
}

export function lineOf(report: Report): Line {
  const text = JSON.stringify(report);
  return { text, bytes: Buffer.byteLength(text) + 1, kind: kindOf(report), at: Date.parse(report.at) };
}

/** A line as it was written. @returns undefined for what isn't whole */
export function readLine(text: string): Line | undefined {
  try {
    const report = JSON.parse(text) as Partial<Report>;
    const at = Date.parse(String(report.at));
    if (typeof report.id !== 'string' || typeof report.type !== 'string' || Number.isNaN(at)) return undefined;
    return { text, bytes: Buffer.byteLength(text) + 1, kind: kindOf(report), at };
  } catch {
    return undefined;
  }
}

const kindOf = (report: Partial<Report>): Kind =>
  report.type === 'access.used' ? (report.outcome === 'refused' ? 'refused' : 'allowed') : 'summary';

/**
 * What there is room for: nothing that is kept is dropped for something newer, and refusals fill half of the room at most. So nobody who is
 * refused, however often, drives out what was allowed, and nobody can wash away what is there already.
 * @param used bytes that are kept already; `most` how many fit
 */
export function fits({ bytes, kind }: Line, used: number, most: number): boolean {
  return used + bytes <= (kind === 'refused' ? most / 2 : most);
}
