/** When revocation was last rehearsed, and whether it worked. */
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import type { Drill } from '../nouns/drill.ts';
import { shortTime } from '../output.ts';
import { type Finding, note, ok, warn } from './finding.ts';

const hourMs = 3_600_000;
/** A round of jobs, and a drill under way. */
const graceMs = hourMs / 4;

/** @param everyHours how often the configuration wants one, as far as it is known here; `now` in milliseconds */
export async function checkDrills(api: Api, everyHours: number | undefined, now: number): Promise<Finding[]> {
  const check = 'drill';
  const todo = 'Rehearse one: bailiwick drill revoke';
  try {
    const { items } = await api.get<{ items: Pick<Drill, 'completed_at' | 'verdict' | 'passed' | 'took_ms'>[] }>(
      '/drills?limit=1',
    );
    const [last] = items;
    if (!last) {
      const message = 'a revocation was never rehearsed';
      return [
        everyHours === undefined
          ? note(check, `${message}: bailiwick drill revoke does it`)
          : warn(check, message, todo),
      ];
    }
    const when = shortTime(last.completed_at);
    if (last.verdict === 'incomplete') {
      const message = `the last rehearsed revocation (${when}) showed nothing: not enough could be asked`;
      return [warn(check, message, 'See why: bailiwick drill revoke')];
    }
    if (!last.passed) {
      return [
        warn(
          check,
          `the last rehearsed revocation (${when}) failed: somebody still accepted`,
          'Look who: bailiwick drill list, then bailiwick drill revoke',
        ),
      ];
    }
    if (everyHours !== undefined && now - Date.parse(last.completed_at) > everyHours * hourMs + graceMs) {
      return [warn(check, `a revocation was last rehearsed ${when}, and drill.every_hours is ${everyHours}`, todo)];
    }
    return [ok(check, `a revocation was last rehearsed ${when}: everybody refused after ${last.took_ms} ms`)];
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return []; // not for this identity to see
  }
}
