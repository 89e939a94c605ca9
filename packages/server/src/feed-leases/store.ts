import type { Queries } from '../store/database.ts';

const shownAtMost = 200;

/** The guards of a resource that are active, oldest first; of very many the first. */
export async function activeGuards(q: Queries, resource: string): Promise<string[]> {
  const rows = await q.all<{ id: string }>(
    `select g.id from guards g join subjects s on s.id = g.id
     where g.resource = ? and s.state = 'active' order by g.id limit ?`,
    [resource, shownAtMost],
  );
  return rows.map(({ id }) => id);
}
