/** The tables of the index: `event_terms`, `personal_terms`, and how far they reach. */
import type { Queries, Tx, Value } from '../store/database.ts';

/** Up to which arrival events are in the index. */
export async function indexPosition(q: Queries): Promise<number> {
  return (await q.get<{ position: number }>('select position from log_index where id = 1'))?.position ?? 0;
}

/** Moves on, if nobody else has meanwhile. */
export async function movePosition(tx: Tx, from: number, to: number): Promise<boolean> {
  return (await tx.run('update log_index set position = ? where id = 1 and position = ?', [to, from])) > 0;
}

/** How many rows one statement inserts: constant texts, the largest first. */
const insertSizes = [256, 32, 1];

const insertTexts = {
  event_terms: new Map(insertSizes.map((size) => [size, insertText('event_terms', 'term, arrival', 2, size)])),
  personal_terms: new Map(
    insertSizes.map((size) => [size, insertText('personal_terms', 'term, arrival, subject', 3, size)]),
  ),
};

function insertText(table: string, columns: string, width: number, rows: number): string {
  const row = `(${Array(width).fill('?').join(', ')})`;
  return `insert into ${table} (${columns}) values ${Array(rows).fill(row).join(', ')} on conflict do nothing`;
}

/** @param values row after row, in the order of the columns; by ascending term and arrival, so that pages of the index are written once */
export async function insertTerms(tx: Tx, table: keyof typeof insertTexts, values: readonly Value[]): Promise<void> {
  const width = table === 'event_terms' ? 2 : 3;
  let from = 0;
  for (const size of insertSizes) {
    const text = insertTexts[table].get(size) as string;
    for (; from + size * width <= values.length; from += size * width) {
      await tx.run(text, values.slice(from, from + size * width));
    }
  }
}

/** Takes single entries out of the index. */
export async function deleteTerms(
  tx: Tx,
  table: keyof typeof insertTexts,
  entries: readonly (readonly [term: number, arrival: number])[],
): Promise<void> {
  for (const entry of entries) await tx.run(deleteTexts[table], entry);
}

const deleteTexts = {
  event_terms: 'delete from event_terms where term = ? and arrival = ?',
  personal_terms: 'delete from personal_terms where term = ? and arrival = ?',
};

/** Takes everything out that goes with this subject. */
export async function deleteTermsOf(tx: Tx, subject: number): Promise<void> {
  await tx.run('delete from personal_terms where subject = ?', [subject]);
}
