/** Policy's say about a token: what it is asked, and what its answer means. Roles have bounded the plan before. */
import { actorsOf, type Sensitivity } from '@bailiwick/protocol';
import { type Instance, vouchedZone } from '../agents/instance.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { loadPolicyEngine } from '../policy/engine.ts';
import { type Outside, outsideOf } from '../policy/limits.ts';
import { policySetOf } from '../policy/policies.ts';
import { recorded, recordedPersonal } from '../policy/recorded.ts';
import type {
  AgentPrincipal,
  Determining,
  PolicyAnswer,
  PolicyContext,
  PolicyDecision,
  PolicyRequest,
} from '../policy/request.ts';
import type { HeldRole } from '../resources/role.ts';
import { type InEffect, inEffect } from './in-effect.ts';
import { outside, type SeenPlace } from './place.ts';
import type { Client, ObservedDecision, TokenPlan } from './plan.ts';

/** What was found out about a plan by the time policy is asked. */
export interface Known {
  held: readonly HeldRole[];
  /** The highest of the operations that it reaches. */
  sensitivity: Sensitivity;
  seen: SeenPlace;
  /** Milliseconds. */
  now: number;
}

export interface PolicySay {
  /** `<organization>/<revision>`: which rules decided. */
  policy: string;
  reasons: readonly string[];
  /** Narrower than what was asked for. */
  limits: PolicyAnswer['limits'];
  /** For the log: what it was asked. */
  decidedOn: Readonly<Record<string, unknown>>;
  /** The same of what is personal. */
  personal: object | undefined;
  observed: ObservedDecision | undefined;
}

/**
 * The server's own APIs are a matter of roles alone: policies of an organization must not be able to lock out the last
 * who could change them.
 */
const byRolesAlone: PolicySay = {
  policy: 'roles/1',
  reasons: [],
  limits: { context: undefined, lifetimeSeconds: undefined },
  decidedOn: {},
  personal: undefined,
  observed: undefined,
};

/**
 * Asks the policies of the agent's organization.
 * @throws OAuthError `access_denied` for no, `step_up_required` for not yet; any error while deciding is a no
 */
export async function allowedByPolicy(deps: Deps, plan: TokenPlan, known: Known): Promise<PolicySay> {
  if (plan.resource.system) return byRolesAlone;
  const { agent, asOf } = plan.client;
  const set = await policySetOf(deps, asOf.version, agent.org);
  const request = policyRequest(plan, known);
  const { evaluate } = await loadPolicyEngine();
  const answer = evaluate(set, request);
  const policy = `${agent.org}/${set.revision}`;
  const limiting = outsideOf(answer, request.context);
  if (answer.decision !== 'allow' || limiting.length > 0) {
    const type = 'token.refused';
    const observed = answer.observed && { observed: observedOf(answer.observed) };
    const by = limiting.length > 0 ? limiting.map(({ statement }) => statement) : answer.determining;
    const recordedAs = {
      decidedOn: { ...decidedBy(by), ...observed, policy, policy_input: recorded(type, request) },
      personal: recordedPersonal(type, request),
      person: plan.delegation?.person,
    };
    throw limiting.length > 0 ? outsideOfLimits(limiting, recordedAs) : refusal(answer, recordedAs);
  }
  return {
    policy,
    reasons: answer.determining.map((each) => `policy ${named(each)}`),
    limits: answer.limits,
    decidedOn: { ...decidedBy(answer.determining), policy_input: recorded('token.issued', request, plan.scope) },
    personal: recordedPersonal('token.issued', request),
    observed: answer.observed && observedOf(answer.observed),
  };
}

/** Which statements decided, as the log is asked for them. */
const decidedBy = (statements: readonly Determining[]) =>
  statements.length > 0 && { by: statements.map(({ policy }) => policy) };

/**
 * What policy is asked about a plan.
 * @param beside what counts as asked for though the plan doesn't say it
 */
export function policyRequest(
  plan: TokenPlan,
  { held, sensitivity, seen, now }: Known,
  beside?: InEffect,
): PolicyRequest {
  const { client, resource, binding, delegation } = plan;
  const { scope, details } = inEffect(resource.operations, plan, beside);
  return {
    principal: agentPrincipal(client, held),
    // a token of its own is one however it asks: by exchange too
    action: delegation && !delegation.isOwn ? 'token:exchange' : 'token:issue',
    resource: { type: 'Api', identifier: resource.identifier, name: resource.name, sensitivity },
    context: {
      at: now,
      timeZone: client.agent.orgTimeZone,
      address: seen.address,
      addressProvenance: 'observed',
      get country() {
        return seen.country;
      },
      get zone() {
        return seen.zone;
      },
      task: taskSeen(plan.task),
      binding: bindingOf(binding),
      method: client.method,
      proofAge: proofAge(plan, now),
      scope,
      details,
      chainDepth: actorsOf(delegation?.act).length,
      subject: delegation?.act && plan.subject,
      chain: delegation?.act && delegation.before,
      mandate: delegation?.mandate,
      operation: undefined,
    },
  };
}

/** An agent as policies see it. */
export function agentPrincipal(
  { agent, instance, attested }: Pick<Client, 'agent' | 'instance' | 'attested'>,
  held: readonly HeldRole[],
): AgentPrincipal {
  return {
    type: 'Agent',
    id: agent.id,
    name: agent.name,
    kind: agent.kind,
    environment: agent.environment,
    owner: agent.owner,
    roles: roleNames(held),
    instance: instance?.id,
    attested: { ...attestedOf(instance), ...attested },
  };
}

const namesOf = new WeakMap<readonly HeldRole[], readonly string[]>();

/** What an agent holds is remembered as one list, so its names are made once. */
function roleNames(held: readonly HeldRole[]): readonly string[] {
  let names = namesOf.get(held);
  if (!names) {
    names = [...new Set(held.map(({ roleName }) => roleName))].sort();
    namesOf.set(held, names);
  }
  return names;
}

/** What a platform or an authority vouches for. What we observed of it is told once for each request, not kept with each of its tokens. */
function attestedOf(instance: Instance | undefined): Record<string, string> {
  const zone = instance && vouchedZone(instance);
  const attested: Record<string, string> = zone === undefined ? {} : { zone };
  for (const [name, { value, provenance }] of Object.entries(instance?.attributes ?? {})) {
    if (provenance === 'attested') attested[name] = value;
  }
  return attested;
}

function taskSeen(task: TokenPlan['task']): PolicyContext['task'] {
  if (task?.provenance !== 'orchestrated') return task;
  const { id, workflow, step, environment, purpose } = task.task;
  return { provenance: 'orchestrated', id, workflow, step, environment, purpose };
}

/** By what something is bound, in the word of policies. */
export function bindingOf(
  binding: { jkt?: string | undefined; x5t?: string | undefined } | undefined,
): PolicyContext['binding'] {
  if (binding?.jkt !== undefined) return binding.x5t === undefined ? 'dpop' : 'dpop+mtls';
  return binding?.x5t === undefined ? 'none' : 'mtls';
}

/** Whole seconds since the oldest of what was shown was made: a handshake is as fresh as the request. */
function proofAge({ client, binding }: TokenPlan, now: number): number {
  const oldest = Math.min(client.provenAt ?? now, binding?.provenAt ?? now);
  return Math.max(0, Math.floor((now - oldest) / 1000));
}

/** What the log keeps of what observed policies would have decided. */
export const observedOf = ({ decision, determining, requirements }: PolicyDecision): ObservedDecision => ({
  decision,
  by: determining.map(({ policy }) => policy),
  ...(requirements.length > 0 && { requirements }),
});

interface RecordedAs {
  decidedOn: Readonly<Record<string, unknown>>;
  personal: object | undefined;
  person: string | undefined;
}

/** The policies permit it, but not from there, or not now. What they are limited to isn't told. */
function outsideOfLimits(limiting: readonly Outside[], recordedAs: RecordedAs): OAuthError {
  const [first] = limiting;
  const said = limiting.flatMap(({ statement }) => publicReason(statement));
  const what = `policy does not allow this${first ? ` ${outside[first.dimension]}` : ''}`;
  const whose = limiting.map(({ statement, dimension }) => `${named(statement)}: ${dimension}`);
  return new OAuthError('access_denied', sentence(what, said), {
    reason: `outside of the limits of policy ${whose.join(', ')}`,
    ...recordedAs,
  });
}

const publicReason = ({ public: told, reason }: Determining): string[] =>
  told && reason !== undefined ? [reason] : [];

/** What a client hears: that policy said no, and the reasons that are meant for it. What decided stands in the log. */
function refusal(answer: PolicyAnswer, recordedAs: RecordedAs): OAuthError {
  const said = answer.determining.flatMap(publicReason);
  const by = answer.determining.map(named);
  if (answer.decision === 'step_up') {
    return new OAuthError('step_up_required', sentence('policy asks for more before it allows this', said), {
      reason: `not yet by policy ${by.join(', ')}`,
      requirements: answer.requirements,
      ...recordedAs,
    });
  }
  return new OAuthError('access_denied', sentence('policy does not allow this', said), {
    reason: whyDenied(answer, by),
    ...recordedAs,
  });
}

/** In the log's words, what could not be evaluated; undefined where all could. */
export function faultOf({ errors: [fault] }: PolicyAnswer): string | undefined {
  return fault && `policy ${fault.policy} could not be evaluated: ${fault.message}`;
}

function whyDenied(answer: PolicyAnswer, by: readonly string[]): string {
  const fault = faultOf(answer);
  if (fault) return fault;
  return by.length > 0 ? `denied by policy ${by.join(', ')}` : 'no policy allows it';
}

/** A statement as the log has it: its name, and what its author says of it. */
export const named = ({ policy, reason }: Determining): string =>
  reason === undefined ? policy : `${policy} (${reason})`;

const sentence = (said: string, reasons: readonly string[]): string =>
  reasons.length > 0 ? `${said}: ${[...new Set(reasons)].join(' ')}` : said;
