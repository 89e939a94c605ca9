/** On whose authority: what a subject token says, as far as whoever shows it may use it. */
import {
  type AccessTokenClaims,
  type Actor,
  type AuthorizationDetail,
  type ChainedActor,
  canonicalJson,
  type DetailsType,
  nestActor,
  type Power,
  ProtocolError,
} from '@bailiwick/protocol';
import type { Client, DelegationBound } from '../decide/plan.ts';
import { agentById, agentCalled, rolesHeld } from '../decide/registered.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Mandate } from '../mandates/mandate.ts';
import type { Resource } from '../resources/resource.ts';
import type { HeldRole } from '../resources/role.ts';

/** What lets whoever comes behind it act for somebody: a mandate, or the rule of a trusted issuer. */
export interface Authority extends Pick<Power, 'resources' | 'context' | 'task' | 'passing' | 'endsAt'> {
  /** What it is called where it refuses. */
  by: string;
  /** Id of the agent that it names. */
  agent: string;
}

/** The rule of a trusted issuer. */
export interface RuleAuthority extends Authority {
  /** The issuer's id, and what the rule is called there. */
  issuer: string;
  rule: string;
}

export interface Subject {
  /** What stays the same down the chain: the id of a person, or the SPIFFE ID of an agent. */
  sub: string;
  /** What kind of that it is. */
  profile: string;
  person: string | undefined;
  /** The chain with the actor in front; nobody where an agent shows a token that it got for itself. */
  act: Actor | undefined;
  /** Ids of the agents that acted before the actor, the nearest first. */
  before: readonly string[];
  /** Nobody but the agent itself, and instances of it, stands in what was shown. */
  isOwn?: boolean;
  /** The mandate that it goes by and those above it, up to the root; empty without one. */
  line: readonly Mandate[];
  /** The rule that it goes by, where the root is the word of a trusted issuer. */
  rule?: RuleAuthority | undefined;
  /** What a token of that issuer bounds itself: its scopes, where the rule says so, and its end (milliseconds). */
  issued?: { scope: readonly string[] | undefined; endsAt: number };
  /** The access token that was shown, if it was one. */
  token: AccessTokenClaims | undefined;
  /** Ids of what it rests on, and tags of what of it is known by these alone. */
  links: readonly string[];
  tags: readonly string[];
  /** Id of the resource that it means, if it is for one. */
  resource: string | undefined;
  /** That resource's types of details, where a token is for it. */
  detailsTypes?: readonly DetailsType[];
}

const authorityOfMandate = (mandate: Mandate): Authority => ({ ...mandate, by: `mandate ${mandate.id}` });

/** What lets it be acted on, the nearest first. */
export const authoritiesOf = ({ line, rule }: Pick<Subject, 'line' | 'rule'>): Authority[] =>
  rule ? [rule] : line.map(authorityOfMandate);

/**
 * What each link allows on a resource, the nearest first.
 * @throws OAuthError `invalid_target` where a mandate or rule isn't for it at all
 */
export function boundsOn(
  {
    token,
    line,
    rule,
    issued,
    resource: of,
    detailsTypes = [],
  }: Pick<Subject, 'token' | 'line' | 'rule' | 'issued' | 'resource' | 'detailsTypes'>,
  resource: Resource,
): DelegationBound[] {
  const goesOn = ({ type }: AuthorizationDetail) => of === resource.id || isSameType(type, detailsTypes, resource);
  const shown: DelegationBound[] = token
    ? [
        {
          by: 'subject_token',
          // on another resource too, what is called the same: nothing that whoever called didn't hand over
          scope: token.scope ? token.scope.split(' ') : [],
          details: (token.authorization_details ?? []).filter(goesOn),
          context: token.ctx,
          endsAt: token.exp * 1000,
        },
      ]
    : [];
  const bounds = authoritiesOf({ line, rule }).map((each) => boundOf(each, resource));
  return [...shown, ...bounds, ...(issued ? bounds.map((bound) => boundOfIssued(issued, bound)) : [])];
}

/** What the token of an issuer adds to the rule by which it is believed. */
const boundOfIssued = ({ scope, endsAt }: NonNullable<Subject['issued']>, rule: DelegationBound): DelegationBound => ({
  by: 'subject_token',
  scope: scope ?? rule.scope,
  details: rule.details,
  context: undefined,
  endsAt,
});

/** Whether a type of details means the same on another resource, by all that either says of it. Operations are each resource's own. */
function isSameType(type: string, types: readonly DetailsType[], { detailsTypes }: Resource): boolean {
  const [one, other] = [types, detailsTypes].map((all) => all.find((each) => each.type === type));
  if (!one || !other) return false;
  return canonicalJson([one.schema, one.compare]) === canonicalJson([other.schema, other.compare]);
}

function boundOf({ by, resources, context, endsAt }: Authority, resource: Resource): DelegationBound {
  const allowed = resources.find((each) => each.resource === resource.id);
  if (!allowed) throw new OAuthError('invalid_target', `${by} is not for this resource`);
  return { by, scope: allowed.scope, details: allowed.details, context, endsAt };
}

/**
 * The roles of the agent at the root, where nobody but its token lets others act, and they would on another resource than the token is for:
 * there too, nobody does in its name what it couldn't do.
 */
export async function rootRolesOn(
  deps: Deps,
  { agent, asOf }: Client,
  { sub, line, rule, resource: of }: Subject,
  resource: Resource,
): Promise<readonly HeldRole[] | undefined> {
  if (line.length > 0 || rule || of === resource.id) return undefined;
  const root = await agentCalled(deps, asOf.version, agent.org, sub);
  const isGiven = root?.agent.resources.some((each) => each.resource === resource.id);
  return root && isGiven ? rolesHeld(deps, asOf.version, root.agent.id) : [];
}

/** The actor in front of those before. @throws OAuthError `invalid_request` for too many, or somebody twice */
export function inFrontOf(actor: ChainedActor, earlier: Actor | undefined, sub?: string): Actor {
  try {
    if (actor.sub === sub) throw new ProtocolError('cycle', 'the subject would act for itself');
    return nestActor(actor, earlier);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('invalid_request', error.message, { reason: `chain: ${error.code}` });
  }
}

/**
 * That everything in a line lets itself be passed on as far as this, and to whom.
 * @param hops how often it was, and would be, passed on by exchange after the first of the line
 * @param to id of the agent that it would come to by that, if it would
 * @throws OAuthError `invalid_request`
 */
export function mustReach(line: readonly Authority[], hops: number, to: string | undefined): void {
  for (const [above, { by, agent, passing }] of line.entries()) {
    const below = [...(to === undefined ? [] : [to]), ...line.slice(0, above).map((each) => each.agent)];
    if (passing.depth < above + hops) {
      throw new OAuthError('invalid_request', `${by} may be passed on ${passing.depth} times, and not further`);
    }
    const isOther = (each: string) => each !== agent && passing.to?.includes(each) === false;
    if (below.some(isOther)) {
      throw new OAuthError('invalid_request', `${by} may not be passed on to this agent`);
    }
  }
}

/** @throws OAuthError `invalid_request` for an agent that isn't there */
export async function agentOf(deps: Deps, { asOf }: Client, id: string) {
  const agent = await agentById(deps, asOf.version, id);
  if (agent) return agent;
  throw new OAuthError('invalid_request', 'an agent of the chain is not there any more');
}
