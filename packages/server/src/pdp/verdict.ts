/** What comes of a question, and how the asking side and the log hear of it. */

import type { Requirement } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { AuditEvent } from '../audit/event.ts';
import { faultOf, named, observedOf } from '../decide/policy.ts';
import { recorded, recordedPersonal } from '../policy/recorded.ts';
import type { PolicyAnswer, PolicyRequest } from '../policy/request.ts';
import type { Asking } from './asking.ts';
import type { Question } from './question.ts';

/** What the asking side hears, beside yes or no. @see AuthZEN 1.0 §5.5.1 */
export interface AnswerContext {
  /** The event that tells of this decision. */
  id?: string;
  /** For whoever was stopped, by HTTP status. */
  reason_user?: Readonly<Record<string, string>>;
  /** Reasons of policies that may be told (`@public`). */
  reasons?: readonly string[];
  /** What it would take, where the answer is: not yet. */
  requirements?: readonly Requirement[];
  /** What was wrong with the question, or with the token that came with it. */
  error?: AskingError;
}

export interface AskingError {
  status: 400 | 401 | 403;
  message: string;
}

/** Everything that was found out about a question by the time it was decided. */
export interface Seen {
  asking: Asking;
  question: Question;
  /** The agent that it is about, where that is one of ours. */
  agent?: Agent;
  /** Identifier of the resource that it is about, where that is registered here. */
  resource?: string;
  jti?: string;
  /** For whom the agent acts, as its token shows. */
  person?: string | undefined;
  request?: PolicyRequest;
}

/** Why the answer is no before policy was asked, or whatever policy said: in words for the log. */
export class No extends Error {
  readonly told: AskingError | undefined;
  constructor(reason: string, told?: AskingError) {
    super(reason);
    this.name = 'No';
    this.told = told;
  }
}

/** What policy said, and by which version of which organization's policies. */
export interface PolicySaid {
  answer: PolicyAnswer;
  policy: string;
}

export interface Verdict {
  decision: boolean;
  context: AnswerContext;
  event: AuditEvent;
  /**
   * Under whose key the event is sealed: of the person for whom the agent acts, else of whoever answers for the agent that it is about, else
   * for the one that asks.
   */
  sealedFor: string;
}

/** @param no what stands against it, even where policy allows it */
export function verdictOf(seen: Seen, said: PolicySaid | undefined, no?: No): Verdict {
  const decision = no === undefined && said?.answer.decision === 'allow';
  const owner = (seen.agent ?? seen.asking.agent).owner;
  return {
    decision,
    context: contextOf(decision, said?.answer, no),
    event: eventOf(seen, { decision, owner, said, no }),
    sealedFor: seen.person ?? owner,
  };
}

function contextOf(decision: boolean, answer: PolicyAnswer | undefined, no: No | undefined): AnswerContext {
  if (no?.told) return { error: no.told };
  if (!answer || no) return {};
  const reasons = answer.determining.flatMap(({ public: told, reason }) =>
    told && reason !== undefined ? [reason] : [],
  );
  const { requirements } = answer;
  return {
    ...(reasons.length > 0 && { reasons }),
    ...(reasons.length > 0 && !decision && { reason_user: { '403': reasons.join(' ') } }),
    ...(requirements.length > 0 && { requirements }),
  };
}

function eventOf(
  seen: Seen,
  decided: { decision: boolean; owner: string; said: PolicySaid | undefined; no: No | undefined },
): AuditEvent {
  const { asking, question, agent, request } = seen;
  const { decision, owner, said, no } = decided;
  const { answer } = said ?? {};
  const determining = answer?.determining ?? [];
  const personal = request && recordedPersonal('access.evaluated', request);
  return {
    type: 'access.evaluated',
    outcome: decision ? 'allowed' : 'refused',
    org: asking.agent.org,
    agent: asking.agent.id,
    target: agent?.id,
    resource: seen.resource,
    jti: seen.jti,
    reason: no?.message ?? why(answer),
    // questions of several requests travel together: each says for itself what it is part of
    trace: question.context.trace ?? asking.caller.trace,
    decided_on: {
      // what it was called is told where it names something of ours; foreign names may be people's
      ...(seen.resource !== undefined && { asked: { action: question.action.name, type: question.resource.type } }),
      by: determining.map(({ policy }) => policy),
      decision: answer?.decision ?? 'deny', // policy's own: what comes of it is the outcome
      ...(answer && answer.errors.length > 0 && { errors: answer.errors.map(({ policy }) => policy) }),
      ...(answer?.observed && { observed: observedOf(answer.observed) }),
      ...(said && { policy: said.policy }),
      ...(request && { policy_input: recorded('access.evaluated', request) }),
      provenance: { presenter: seen.jti === undefined ? 'claimed' : 'verified' },
      registry: asking.caller.asOf.version,
      ...(answer && answer.requirements.length > 0 && { requirements: answer.requirements }),
      rev: asking.caller.asOf.rev,
    },
    personal: {
      owner,
      person: seen.person,
      address: asking.caller.address,
      ...(personal && { details: { policy_input: personal } }),
    },
  };
}

/** In the log's words, which name statements and their reasons. */
function why(answer: PolicyAnswer | undefined): string {
  const fault = answer && faultOf(answer);
  return fault ?? (answer?.determining.map(named).join(', ') || 'no policy permits it');
}
