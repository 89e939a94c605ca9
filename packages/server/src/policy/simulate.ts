/** What other policies would have decided of what was decided: who would gain, and who would lose. */
import { canonicalJson } from '@bailiwick/protocol';
import type { ReadEvent } from '../audit/audit.ts';
import { type Pause, pauses } from '../lib/pauses.ts';
import type { PolicyEngine, PolicySet } from './engine.ts';
import { withinLimits } from './limits.ts';
import { requestOf, type Surroundings } from './recorded.ts';
import type { PolicyAnswer, PolicyRequest } from './request.ts';

export type Decision = PolicyAnswer['decision'];

/** Questions that are alike and come out alike. */
export interface Difference {
  /** An agent's id and name, or what the asking side calls somebody. */
  agent: string | undefined;
  name: string;
  action: PolicyRequest['action'];
  resource: string;
  before: Decision;
  after: Decision;
  /** `limits`: allowed as before, with other limits. `differs`: refused as before, in another way. */
  change: 'gains' | 'loses' | 'limits' | 'differs';
  /** The statements that decide from now on; none where nothing permits it. */
  by: string[];
  count: number;
  /** Milliseconds. */
  first: number;
  last: number;
}

export interface Simulated {
  replayed: number;
  /** What was personal of them was erased: they can't be asked again. */
  erased: number;
  /** Refused before policies were asked, of the server's own APIs, or older than policies are. */
  notAsked: number;
  differences: Difference[];
}

/** Asks both sets what these events tell of. */
export async function simulate(
  engine: PolicyEngine,
  sets: { before: PolicySet; after: PolicySet },
  events: readonly ReadEvent[],
  about: Surroundings,
  pause: Pause = pauses(),
): Promise<Simulated> {
  const result: Simulated = { replayed: 0, erased: 0, notAsked: 0, differences: [] };
  const groups = new Map<string, Difference>();
  for (const event of events) {
    await pause();
    const request = requestOf(event, about);
    if (request === undefined) {
      if (event.erased && wasAsked(event)) result.erased += 1;
      else result.notAsked += 1;
      continue;
    }
    result.replayed += 1;
    const before = withinLimits(engine.evaluate(sets.before, request), request.context);
    await pause();
    const after = withinLimits(engine.evaluate(sets.after, request), request.context);
    const change = changeOf(before, after);
    if (change !== undefined) note(groups, request, { before, after, change });
  }
  result.differences = [...groups.values()];
  return result;
}

const wasAsked = ({ leaf }: ReadEvent): boolean =>
  (leaf.decided_on as { policy_input?: unknown } | undefined)?.policy_input !== undefined;

function changeOf(before: PolicyAnswer, after: PolicyAnswer): Difference['change'] | undefined {
  if (before.decision !== after.decision) {
    if (after.decision === 'allow') return 'gains';
    return before.decision === 'allow' ? 'loses' : 'differs';
  }
  return limitsOf(before) === limitsOf(after) ? undefined : 'limits';
}

const limitsOf = ({ limits: { context, lifetimeSeconds } }: PolicyAnswer): string =>
  canonicalJson([context ?? {}, lifetimeSeconds ?? null]);

function note(
  groups: Map<string, Difference>,
  request: PolicyRequest,
  { before, after, change }: { before: PolicyAnswer; after: PolicyAnswer; change: Difference['change'] },
): void {
  const { principal, action, context } = request;
  const by = statementsOf(after);
  const difference: Difference = {
    agent: principal.type === 'Agent' ? principal.id : undefined,
    name: principal.type === 'Agent' ? principal.name : `${principal.kind}:${principal.id}`,
    action,
    resource: resourceName(request.resource),
    before: before.decision,
    after: after.decision,
    change,
    by,
    count: 1,
    first: context.at,
    last: context.at,
  };
  const key = JSON.stringify([
    difference.agent ?? difference.name,
    action,
    difference.resource,
    before.decision,
    after.decision,
    change,
    by,
  ]);
  const known = groups.get(key);
  if (known === undefined) {
    groups.set(key, difference);
    return;
  }
  known.count += 1;
  known.first = Math.min(known.first, context.at);
  known.last = Math.max(known.last, context.at);
}

/** What decides, by name; what could not be evaluated decides, too. */
export function statementsOf({ determining, errors }: PolicyAnswer): string[] {
  return [...determining.map(({ policy }) => policy), ...errors.map(({ policy }) => `${policy} (error)`)];
}

/** `https://tickets.example/api`, with `#` and the name of an operation; `record:record-1` of what only others know. */
export const resourceName = (resource: PolicyRequest['resource']): string =>
  resource.type === 'Object'
    ? `${resource.kind}:${resource.id}`
    : resource.type === 'Api'
      ? resource.identifier
      : `${resource.identifier}#${resource.name}`;
