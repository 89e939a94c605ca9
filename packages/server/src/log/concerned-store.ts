/** Who answers for what an event was done to, where that is an agent or something of one. */
import type { Queries } from '../store/database.ts';

const texts: Readonly<Record<string, string>> = {
  agt: 'select owner from agents where id = ?',
  crd: 'select a.owner as owner from credentials c join agents a on a.id = c.agent where c.id = ?',
  ins: 'select a.owner as owner from instances i join agents a on a.id = i.agent where i.id = ?',
  tsk: 'select a.owner as owner from tasks t join agents a on a.id = t.agent where t.id = ?',
  grd: 'select a.owner as owner from guards g join agents a on a.id = g.agent where g.id = ?',
};

/** Undefined for anything else, and for what is no longer there. */
export async function ownerOfTarget(q: Queries, target: string): Promise<string | undefined> {
  const text = texts[target.slice(0, 3)];
  return text && target[3] === '_' ? (await q.get<{ owner: string }>(text, [target]))?.owner : undefined;
}
