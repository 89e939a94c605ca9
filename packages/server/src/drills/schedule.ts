/** Drills by themselves: every so many hours, on one node. */

import type { Deps } from '../deps.ts';
import { findOrganization } from '../people/store.ts';
import { claimDrill, newDrill, runDrill } from './drill.ts';
import { claim } from './store.ts';
import { verdictWords } from './verdict.ts';

const hourMs = 3_600_000;
const waitMs = 30_000;
const claimName = 'schedule';

/**
 * Runs a drill on the canary of the default organization if the configuration wants drills and the last scheduled one began so long ago.
 * The first comes with the first round after the start.
 */
export async function drillWhenDue(deps: Deps, organization: string): Promise<void> {
  const { every_hours } = deps.config.drill;
  if (every_hours === undefined) return;
  const id = newDrill(deps);
  const now = deps.clock.now();
  const wanted = { name: claimName, drill: id, until: now + every_hours * hourMs, now };
  if (!(await deps.db.settle((tx) => claim(tx, wanted)))) return;
  const org = await findOrganization(deps.db, organization);
  if (!org) return;
  const order = { id, org, waitMs };
  if (!(await deps.db.settle((tx) => claimDrill(tx, deps, order)))) return; // somebody rehearses just now
  const report = await runDrill(deps, order);
  if (!report) return;
  const { verdict, took_ms } = report;
  const details = { drill: id, took_ms };
  const text = `a revocation was rehearsed: ${verdictWords[verdict]}`;
  if (verdict === 'passed') deps.log.info(details, text);
  else deps.log.error(details, `${text}: see \`bailiwick drill list\``);
}
