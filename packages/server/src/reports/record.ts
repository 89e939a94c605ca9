/**
 * Takes a batch of reports: each is read, held against what the log knows, and then all that hold are written in one settlement, each id once.
 * Whoever got no answer sends the batch again.
 */
import { createHash } from 'node:crypto';
import { mostReports, oldestReportMs, type ReportResult } from '@bailiwick/protocol';
import { appendAllPrepared, type PreparedEvent, prepareEvent, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import { type Budgets, newBudgets, take } from '../decide/budget.ts';
import type { Deps } from '../deps.ts';
import { countFailure } from '../lib/failures.ts';
import { newId } from '../lib/ids.ts';
import { type Caller, mayWrite } from '../web/caller.ts';
import { badRequest, Problem } from '../web/problem.ts';
import { serviceResource } from '../web/service.ts';
import { issuesOf, summaryEvent, toleranceMs, usedEvent } from './access.ts';
import { dayMs } from './forget.ts';
import { type ReadReport, readReport } from './report.ts';
import { ownerOfAgent, type Reporter, reporterOf } from './reporter.ts';
import { insertReported, type ReportKey } from './store.ts';
import { ownTasks, taskEvent } from './task.ts';

/** Batches of one reporter in a minute, on each node. */
const batchesPerMinute = 1200;

const budgets = new WeakMap<object, Budgets>();

/** A report that holds: its key, and its event, made but for the insert. */
interface Fit {
  index: number;
  key: ReportKey;
  event: PreparedEvent;
}

/**
 * @returns what became of each report, in their order: on disk by then
 * @throws Problem 400 for what is no batch, 403, 503 for too many
 */
export async function recordReports(deps: Deps, caller: Caller, body: unknown): Promise<ReportResult[]> {
  const reporter = await reporterOf(deps, caller);
  withinBudget(deps, caller);
  const given = reportsIn(body);
  const reports = given.map(readReport);
  const results: ReportResult[] = given.map((each) => ({ ...idIn(each), outcome: 'refused', reason: 'malformed' }));
  const fits = await fitReports(deps, reporter, reports, results);
  const fresh = await deps.db.settle(async (tx) => {
    await mayWrite(tx, serviceResource(deps.config), caller);
    if (fits.length === 0) return new Set<string>();
    const taken = await insertReported(
      tx,
      fits.map(({ key }) => key),
    );
    const events = fits.flatMap(({ key, event }) => (taken.has(key.id) ? [event] : []));
    await appendAllPrepared(tx, events);
    return taken;
  });
  for (const { index, key } of fits) {
    results[index] = { ...results[index], outcome: fresh.has(key.id) ? 'recorded' : 'known' };
  }
  for (const { reason } of results) {
    if (reason !== undefined) countFailure(deps.failures, caller.address, `a report of ${caller.agent}: ${reason}`);
  }
  return results;
}

function withinBudget({ db, clock }: Deps, caller: Caller): void {
  let own = budgets.get(db);
  if (!own) {
    own = newBudgets();
    budgets.set(db, own);
  }
  const wait = take(own, caller.agent, batchesPerMinute, clock.now());
  if (wait === undefined) return;
  const headers = { 'retry-after': String(wait) };
  throw new Problem('unavailable', 'too many batches of reports: send fewer, larger ones', { headers });
}

function reportsIn(body: unknown): readonly unknown[] {
  const { reports } = (body ?? {}) as { reports?: unknown };
  if (Array.isArray(reports) && reports.length > 0 && reports.length <= mostReports) return reports;
  throw badRequest([{ field: 'reports', message: `must be a list of 1 to ${mostReports} reports` }]);
}

/** As it was sent, if it is one: so that the answer can be told by it. */
function idIn(given: unknown): { id?: string } {
  const { id } = (given ?? {}) as { id?: unknown };
  return typeof id === 'string' && id.length <= 64 ? { id } : {};
}

/** What holds. Of the rest, and of what is there twice, `results` says so. */
async function fitReports(
  deps: Deps,
  reporter: Reporter,
  reports: readonly (ReadReport | undefined)[],
  results: ReportResult[],
): Promise<Fit[]> {
  const { caller } = reporter;
  const { version } = caller.asOf;
  const now = deps.clock.now();
  const issues = await issuesOf(
    deps,
    reports.flatMap((each) => (each?.type === 'access.used' ? [each.jti] : [])),
  );
  const tasks = await ownTasks(
    deps,
    reporter,
    reports.flatMap((each) => (each && 'task' in each && each.type !== 'access.used' ? [each.task] : [])),
  );
  const fits: Fit[] = [];
  const twice = new Set<string>();
  for (const [index, given] of reports.entries()) {
    if (!given) continue;
    const report = notAhead(given, now);
    const event = tooFar(report, now) ?? eventOf(reporter, report, issues, tasks);
    if (typeof event === 'string') {
      results[index] = { id: report.id, outcome: 'refused', reason: event };
      continue;
    }
    const key = keyOf(reporter, report);
    results[index] = { id: report.id, outcome: 'known' };
    if (twice.has(key.id)) continue;
    twice.add(key.id);
    const owner = await ownerOfAgent(deps, caller, event.agent as string);
    const sealing = await sealingFor(deps, version, owner);
    const whole = { ...event, personal: { owner, ...event.personal } };
    fits.push({ index, key, event: await prepareEvent(deps, version, sealing, whole, newId(deps, 'event')) });
  }
  return fits;
}

/** Sums count whatever the clock says of whoever made them: what was lost because a clock is ahead would otherwise be told by nobody. */
const notAhead = (report: ReadReport, now: number): ReadReport =>
  report.type === 'access.unproven' || report.type === 'access.unreported'
    ? { ...report, at: Math.min(report.at, now), since: Math.min(report.since, now) }
    : report;

function tooFar({ at }: ReadReport, now: number): 'too_old' | 'in_the_future' | undefined {
  if (at < now - oldestReportMs) return 'too_old';
  return at > now + toleranceMs ? 'in_the_future' : undefined;
}

function eventOf(
  reporter: Reporter,
  report: ReadReport,
  issues: Awaited<ReturnType<typeof issuesOf>>,
  tasks: Awaited<ReturnType<typeof ownTasks>>,
): AuditEvent | string {
  switch (report.type) {
    case 'access.used':
      return reporter.guards ? usedEvent(reporter, report, issues.get(report.jti)) : 'not_allowed';
    case 'access.unproven':
    case 'access.unreported':
      return summaryEvent(reporter, report);
    default:
      return taskEvent(reporter, report, tasks.get(report.task));
  }
}

/** Guards of one resource share what it keeps for them, so they share its ids; an agent has its own. */
function keyOf({ caller, guards }: Reporter, { type, id, at }: ReadReport): ReportKey {
  const space = type.startsWith('access.') ? guards?.resource.id : caller.agent;
  const hashed = createHash('sha256').update(`${space}\0${id}`).digest('base64url').slice(0, 22);
  return { day: Math.floor(at / dayMs), id: hashed };
}
