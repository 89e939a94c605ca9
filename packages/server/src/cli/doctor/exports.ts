/** Whether the log arrives where it is exported to. */
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import type { Exporter } from '../registry.ts';
import { type Finding, ok, someOf, warn } from './finding.ts';

/** How long an event may wait before that is worth a word. */
const waitingMs = 10 * 60_000;

/** Nothing where there is no exporter, or where they are not this identity's to see. */
export async function checkExports(api: Api, now: number): Promise<Finding[]> {
  let exporters: Exporter[];
  try {
    exporters = await api.list<Exporter>('/exporters');
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return [];
    throw error;
  }
  const check = 'exports';
  const failing = exporters.filter(({ status }) => status.state === 'failing');
  const late = exporters.filter(
    ({ status }) => status.state === 'behind' && now - Date.parse(status.waiting_since ?? '') > waitingMs,
  );
  const dead = exporters.filter(({ status }) => status.dead_letters > 0);
  const found: Finding[] = [];
  if (failing.length > 0) {
    const named = failing.map(({ name, status }) => `${name} (${status.last_error ?? 'no reason given'})`);
    found.push(
      warn(
        check,
        `Nothing arrives there: ${someOf(named)}. It waits and is tried again.`,
        'bailiwick exports test NAME',
      ),
    );
  }
  if (late.length > 0) {
    found.push(
      warn(check, `They can't keep up: ${someOf(late.map(({ name }) => name))}.`, 'bailiwick exports show NAME'),
    );
  }
  if (dead.length > 0) {
    found.push(
      warn(
        check,
        `They refused events for good, which are kept: ${someOf(dead.map(({ name }) => name))}.`,
        'bailiwick exports retry NAME, once the receiver takes them',
      ),
    );
  }
  if (found.length > 0 || exporters.length === 0) return found;
  return [ok(check, `everything arrives (${exporters.length})`)];
}
