/** What a guard reports of its resource: believed only as far as it agrees with the token that was issued. */
import { type BoundedCache, boundedCache } from '@bailiwick/protocol';
import type { AuditEvent } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import { isId, issueEventId } from '../lib/ids.ts';
import type { AccessSummary, AccessUsed } from './report.ts';
import type { Reporter } from './reporter.ts';
import { selectIssues } from './store.ts';

/** How far the clocks of a guard and of this server may be apart, in milliseconds. */
export const toleranceMs = 60_000;

/** What the log says of a token: who acts by it, at what, and for how long. Milliseconds. */
export interface Issue {
  agent: string;
  instance: string | undefined;
  org: string;
  /** Ids of what takes it: a single one, but of a transaction token. */
  resources: readonly string[];
  task: string | undefined;
  txn: string | undefined;
  issuedAt: number;
  expiresAt: number;
}

const known = new WeakMap<object, BoundedCache<Issue>>();
const issuesKept = 50_000;

/** The issue of each of these tokens, as far as the log has it. What is there never changes, so it is remembered. */
export async function issuesOf({ db }: Deps, jtis: Iterable<string>): Promise<Map<string, Issue>> {
  let memory = known.get(db);
  if (!memory) {
    memory = boundedCache(issuesKept);
    known.set(db, memory);
  }
  const found = new Map<string, Issue>();
  const missing: string[] = [];
  for (const jti of new Set(jtis)) {
    const issue = memory.get(jti);
    if (issue) found.set(jti, issue);
    else if (isId('event', issueEventId(jti))) missing.push(issueEventId(jti));
  }
  if (missing.length === 0) return found;
  for (const { leaf } of await selectIssues(db, missing)) {
    const event = JSON.parse(leaf) as IssueLeaf;
    const issue = issueIn(event);
    memory.set(event.jti, issue);
    found.set(event.jti, issue);
  }
  return found;
}

interface IssueLeaf {
  at: string;
  agent: string;
  instance?: string;
  jti: string;
  org: string;
  decided_on: {
    expires_at: number;
    resource_id: string;
    task?: string;
    transaction?: { agent: string; instance?: string; resources: string[]; task?: string; txn: string };
  };
}

/** Who requested a transaction token is nobody who acts by it. */
function issueIn({ at, agent, instance, org, decided_on }: IssueLeaf): Issue {
  const { expires_at, resource_id, task, transaction } = decided_on;
  const acting = transaction ?? { agent, instance, task, resources: [resource_id], txn: undefined };
  return {
    agent: acting.agent,
    instance: acting.instance,
    org,
    resources: acting.resources,
    task: acting.task,
    txn: acting.txn,
    issuedAt: Date.parse(at),
    expiresAt: expires_at,
  };
}

/**
 * The event of a use, or why there is none. Of a token that isn't there, is for another resource or somebody else's, a guard hears the same.
 * @param owner of the agent that called
 */
export function usedEvent(
  { guards }: Reporter,
  report: AccessUsed,
  issue: Issue | undefined,
): AuditEvent | 'no_such_token' | 'outside_of_the_token' {
  if (!guards || !issue || !agrees(report, issue) || !issue.resources.includes(guards.resource.id))
    return 'no_such_token';
  if (report.at < issue.issuedAt - toleranceMs || report.at > issue.expiresAt + toleranceMs) {
    return 'outside_of_the_token';
  }
  const { outcome, code, act, operation, method, path, status, mode, address } = report;
  // chains name agents; whoever else stands in one may be a person
  const isOfAgents = act?.every((each) => each.startsWith('spiffe://')) === true;
  return {
    type: 'access.used',
    outcome,
    org: issue.org,
    agent: issue.agent,
    instance: issue.instance,
    resource: guards.resource.identifier,
    jti: report.jti,
    reason: report.reason,
    trace: report.trace,
    decided_on: {
      ...(isOfAgents && { act }),
      ...(code !== undefined && { code }),
      guard: guards.guard.id,
      ...(method !== undefined && { method }),
      mode,
      ...(operation !== undefined && { operation }),
      ...(path !== undefined && { path }),
      report: report.id,
      resource_id: guards.resource.id,
      status,
      ...(issue.task !== undefined && { task: issue.task }),
      ...(issue.txn !== undefined && { txn: issue.txn }),
      used_at: report.at,
    },
    personal: {
      ...(address !== undefined && { address }),
      ...(act && !isOfAgents && { details: { act } }),
    },
  };
}

const agrees = (report: AccessUsed, issue: Issue): boolean =>
  report.agent === issue.agent &&
  report.organization === issue.org &&
  (report.instance === undefined || report.instance === issue.instance) &&
  (report.task === undefined || report.task === issue.task) &&
  (report.txn === undefined || report.txn === issue.txn);

/** What a guard sums up: of strangers, and of reports that were lost. It is about nobody. */
export function summaryEvent({ caller, guards }: Reporter, report: AccessSummary): AuditEvent | 'not_allowed' {
  if (!guards) return 'not_allowed';
  const { guard, resource } = guards;
  return {
    type: report.type,
    outcome: 'refused',
    org: caller.org,
    agent: caller.agent,
    resource: resource.identifier,
    decided_on: {
      ...('causes' in report && { causes: report.causes }),
      counts: report.counts,
      guard: guard.id,
      report: report.id,
      resource_id: resource.id,
      since: report.since,
      used_at: report.at,
    },
    personal: {},
  };
}
