/** Explanations of what was decided: by the policies of that time, and by those of today. */
import type { ReadEvent } from '../audit/audit.ts';
import { issueEventId } from '../lib/ids.ts';
import { eventOf } from '../log/search.ts';
import { loadPolicyEngine, type PolicySet } from '../policy/engine.ts';
import { outsideInWords, outsideOf } from '../policy/limits.ts';
import { policySetAsOf, policySetOf } from '../policy/policies.ts';
import { readSetRevision } from '../policy/policy.ts';
import { PolicyError } from '../policy/policy-error.ts';
import { requestOf } from '../policy/recorded.ts';
import type { PolicyRequest } from '../policy/request.ts';
import { notFound } from '../web/problem.ts';
import { limitsOf, observedOf, saidOf } from './explanation-words.ts';
import type { ExplainAnswer } from './policies-explain.ts';
import type { Call } from './route.ts';
import { surroundingsOf } from './surroundings.ts';

type EventAnswer = Extract<ExplainAnswer, { about: 'event' }>;

/** @throws Problem 404 for an event of another organization, and one that never was */
export async function explainEvent(
  call: Call,
  { event: eventId, jti = '' }: { event: string | undefined; jti: string | undefined },
): Promise<EventAnswer> {
  const { deps, org, caller } = call;
  const id = eventId ?? issueEventId(jti);
  const event = await eventOf(deps, { org: org.id }, id);
  if (!event) throw eventId === undefined ? notFound('token', jti) : notFound('event', eventId);
  const told = { about: 'event' as const, event: shownEvent(event) };
  const request = requestOf(event, await surroundingsOf(call, [event]));
  if (request === undefined) return { ...told, asked: false, says: notAsked(event) };
  const { at, timeZone } = request.context;
  const asOf = { as_of: { at: new Date(at).toISOString(), time_zone: timeZone } };
  const today = await policySetOf(deps, caller.asOf.version, org.id);
  const now = await explainedBy(today, request);
  const before = await setOf(call, event);
  const past = before && (await explainedBy(before, request));
  if (!past) {
    const says = `The policies of that time can't be asked any more. Today's: ${now.says}`;
    return { ...told, ...asOf, asked: true, says, now };
  }
  const differs = past.decision !== now.decision;
  const then = past.observed ? `${past.says} ${past.observed.says}` : past.says;
  const says = differs ? `${then} Today: ${now.says}` : `${then} Today's policies decide the same.`;
  return { ...told, ...asOf, asked: true, says, now, differs, at_the_time: past };
}

const shownEvent = ({ id, leaf: { at, type, outcome, reason } }: ReadEvent): EventAnswer['event'] => ({
  id,
  at: at as string,
  type: type as string,
  outcome: outcome as string,
  ...(typeof reason === 'string' && { reason }),
});

function notAsked({ leaf, erased }: ReadEvent): string {
  const { policy_input } = (leaf.decided_on ?? {}) as { policy_input?: unknown };
  if (policy_input !== undefined && erased) return 'It can’t be asked again: what was personal of it was erased.';
  const reason = typeof leaf.reason === 'string' && leaf.outcome === 'refused' ? `: ${leaf.reason}` : '';
  return `Policies were not asked${reason}.`;
}

/** What policies said then; undefined where this version of the program can't read them. */
async function setOf({ q, org }: Call, { leaf }: ReadEvent): Promise<PolicySet | undefined> {
  const { policy } = (leaf.decided_on ?? {}) as { policy?: unknown };
  const known = readSetRevision(policy);
  if (known?.org !== org.id) return undefined;
  try {
    return await policySetAsOf(q, known.org, known.revision);
  } catch (error) {
    if (error instanceof PolicyError) return undefined;
    throw error;
  }
}

async function explainedBy(set: PolicySet, request: PolicyRequest): Promise<NonNullable<EventAnswer['now']>> {
  const engine = await loadPolicyEngine();
  const { answer, statements } = engine.explain(set, request);
  const outside = outsideOf(answer, request.context);
  const observed = observedOf(answer, statements);
  const what = request.action.startsWith('token:') ? 'get the token' : 'use it';
  return {
    revision: Number(set.revision),
    decision: outside.length > 0 ? 'deny' : answer.decision,
    says:
      outside.length > 0 ? `It may not ${what}: ${outsideInWords(outside, request.context)}.` : saidOf(answer, what),
    statements: statements.map(({ reason, ...rest }) => ({
      ...rest,
      action: request.action,
      ...(reason !== undefined && { reason }),
    })),
    requirements: [...answer.requirements],
    limits: { ...limitsOf(answer) },
    ...(observed && { observed }),
  };
}
