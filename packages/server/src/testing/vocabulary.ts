/** Whether every event of a test is as the vocabulary says. */
import { wrongWith } from '../audit/vocabulary.ts';
import type { Queries } from '../store/database.ts';

/** @throws Error naming what is wrong with which type of event */
export async function holdAgainstVocabulary(q: Queries): Promise<void> {
  const wrong = new Map<string, string>();
  for (let after = 0; ; ) {
    const rows = await q.all<{ arrival: number; leaf: string }>(
      'select arrival, leaf from events where arrival > ? order by arrival limit 500',
      [after],
    );
    for (const { leaf } of rows) for (const each of wrongWith(JSON.parse(leaf))) wrong.set(each, leaf);
    const last = rows.at(-1);
    if (!last) break;
    after = last.arrival;
  }
  if (wrong.size === 0) return;
  const told = [...wrong].slice(0, 8).map(([what, leaf]) => `${what}\n    ${leaf}`);
  throw new Error(`events that the vocabulary (audit/vocabulary.ts) doesn’t know so:\n  ${told.join('\n  ')}`);
}
