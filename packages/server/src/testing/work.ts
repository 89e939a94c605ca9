/** How much work something is, whatever the machine and its load: for what promises a bound, or to tell nothing by the time it takes. */
import type { Deps } from '../deps.ts';

/** The same `deps`; and what was asked of the database outside of transactions: statements, and how many rows they answered. */
export function countingWork(deps: Deps): { deps: Deps; work: () => [statements: number, rows: number] } {
  let statements = 0;
  let rows = 0;
  const db: Deps['db'] = {
    ...deps.db,
    async all(...asked: Parameters<Deps['db']['all']>) {
      statements += 1;
      const found = await deps.db.all(...asked);
      rows += found.length;
      return found as never;
    },
    async get(...asked: Parameters<Deps['db']['get']>) {
      statements += 1;
      const found = await deps.db.get(...asked);
      if (found !== undefined) rows += 1;
      return found as never;
    },
  };
  return { deps: { ...deps, db }, work: () => [statements, rows] };
}
