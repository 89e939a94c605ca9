/** Revocations, as the story of a token tells of them. */
import type { Queries } from '../store/database.ts';

export interface Ending {
  rev: number;
  subject: string;
  /** Milliseconds. */
  at: number;
  /** The first that was ordered with it. */
  cause: number | null;
}

/** As many are looked for: the first ends a token, the others say what else was stopped meanwhile. */
const endingsAtMost = 8;

/** The first revocations after `rev` of anything that has one of these tags, oldest first. */
export async function selectEndings(q: Queries, tags: readonly string[], rev: number): Promise<Ending[]> {
  const size = 2 ** Math.ceil(Math.log2(Math.max(1, tags.length)));
  const padded = [...tags, ...Array<string>(size - tags.length).fill(tags.at(-1) ?? '')];
  return q.all<Ending>(
    `select rev, subject, at, cause from revocations where tag in (${padded.map(() => '?').join(', ')}) and rev > ?
     order by rev limit ${endingsAtMost}`,
    [...padded, rev],
  );
}

/** The one with this number. */
export async function findEnding(q: Queries, rev: number): Promise<Ending | undefined> {
  return q.get<Ending>('select rev, subject, at, cause from revocations where rev = ?', [rev]);
}
