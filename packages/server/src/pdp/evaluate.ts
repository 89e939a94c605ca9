/**
 * May this subject do this to that, here and now? What it is about is registered, alive, given by roles and carried by the
 * token; then policy is asked. The default is no, and so is any error.
 * @see AuthZEN 1.0 §6
 */
import { actorsOf, contextRefusal } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { instanceAlive } from '../agents/instance-standing.ts';
import { inEffect } from '../decide/in-effect.ts';
import { presenterOf, seenPlace } from '../decide/place.ts';
import { agentPrincipal, bindingOf } from '../decide/policy.ts';
import { agentCalled, type FoundAgent, rolesHeld } from '../decide/registered.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { PolicyContext, PolicyRequest } from '../policy/request.ts';
import { agentType } from './agent-type.ts';
import type { Asking } from './asking.ts';
import { mustBeGiven } from './given.ts';
import { askPolicy } from './policy.ts';
import type { Question } from './question.ts';
import { type Asked, askedAbout, identifierIn, isRegisteredType, takenOf } from './resource.ts';
import { type ShownToken, shownBy } from './token.ts';
import { No, type PolicySaid, type Seen, type Verdict, verdictOf } from './verdict.ts';

/** Decides about one question; writes nothing. */
export async function evaluate(deps: Deps, asking: Asking, question: Question): Promise<Verdict> {
  const seen: Seen = { asking, question };
  let said: PolicySaid | undefined;
  try {
    const request = await requestOf(deps, seen);
    seen.request = request;
    said = await askPolicy(deps, asking.caller.asOf.version, asking.agent.org, request);
    withinLimits(said, request);
    return verdictOf(seen, said);
  } catch (error) {
    if (error instanceof No) return verdictOf(seen, said, error);
    if (error instanceof OAuthError) return verdictOf(seen, said, new No(error.reason));
    throw error;
  }
}

/** What policy is to be asked. @throws No when the answer is no without it */
async function requestOf(deps: Deps, seen: Seen): Promise<PolicyRequest> {
  const { asking, question } = seen;
  const { subject, action, resource } = question;
  const { version } = asking.caller.asOf;
  const { org } = asking.agent;
  const now = deps.clock.now();
  mayAsk(asking, question);
  const asked = await askedAbout(deps, version, org, resource, action.name);
  if (!asked) throw new No('nothing of that name is registered, or listed there');
  if (asked.registered) seen.resource = asked.registered.identifier;
  const common = { asking, question, asked, now };
  if (subject.type !== agentType) {
    if (asked.registered) throw new No('roles are given to agents alone'); // nothing is granted that no role gives
    const { type: kind, id, properties } = subject;
    return requestFor(deps, { ...common, principal: { type: 'Subject', kind, id, properties } });
  }
  const found = await agentCalled(deps, version, org, subject.id);
  if (!found) throw new No('no such agent is registered');
  const { agent } = found;
  seen.agent = agent;
  const token = await verified(deps, { ...common, agent }); // first: whoever has a dead one is to get another
  if (token) {
    seen.jti = token.claims.jti;
    seen.person = token.person;
  }
  const instance = await living(deps, found, token, now);
  const held = await rolesHeld(deps, version, agent.id);
  const actor = { agent, instance, permissions: held.flatMap(({ permissions }) => permissions), token };
  mustBeGiven(deps, actor, asked, question, now);
  return requestFor(deps, { ...common, principal: agentPrincipal({ agent, instance }, held), instance, token });
}

/** A guard has no business with what only others know, nor with what lies elsewhere: not even whether it is there. */
function mayAsk({ only }: Asking, { subject, resource }: Question): void {
  if (!only) return;
  if (subject.type === agentType && isRegisteredType(resource.type) && identifierIn(resource) === only.identifier)
    return;
  throw new No('a guard asked about more than it guards', beyond);
}

const beyond = { status: 403, message: 'a guard may ask about agents at its own resource, and nothing else' } as const;

interface About {
  asking: Asking;
  question: Question;
  asked: Asked;
  now: number;
}

/** What the token shows that came along. @throws No when it shows nothing */
async function verified(deps: Deps, { asking, question, asked, now, agent }: About & { agent: Agent }) {
  const { accessToken, presenterAddress: address } = question.context;
  if (accessToken === undefined) return undefined;
  const check = { token: accessToken, agent: agent.id, org: agent.org, resource: asked.registered, address, now };
  const shown = await shownBy(deps, asking.caller.asOf, check);
  if (typeof shown !== 'string') return shown;
  throw new No(shown, { status: 401, message: 'the access token does not stand, or is not for this' });
}

/** The running copy that acts, where one is known. @throws No when it has ended, or the token is of another one */
async function living(deps: Deps, { instance: named }: FoundAgent, token: ShownToken | undefined, now: number) {
  const instance = named ?? token?.instance;
  if (named && token && token.claims.instance !== named.id) throw new No('the token is of another instance');
  if (instance && !(await instanceAlive(deps.db, instance, now))) throw new No('the instance has ended');
  return instance;
}

/** Nobody knows how long ago somebody proved something who was only named. */
const longAgo = Number.MAX_SAFE_INTEGER;

function requestFor(
  deps: Deps,
  about: About & {
    principal: PolicyRequest['principal'];
    instance?: Instance | undefined;
    token?: ShownToken | undefined;
  },
): PolicyRequest {
  const { asking, question, asked, now, principal, instance, token } = about;
  const { action, context } = question;
  const { claims } = token ?? {};
  const seen = seenPlace(deps, context.presenterAddress, instance);
  const carried = { scope: [...(token?.scope ?? [])], details: claims?.authorization_details ?? [] };
  const { scope, details } = inEffect(asked.registered?.operations ?? [], carried, takenOf(asked));
  const at: PolicyContext = {
    at: now,
    timeZone: asking.agent.orgTimeZone,
    address: seen.address,
    // a guard sees the connection; of whoever presents no token it has nothing to see
    addressProvenance: asking.only && token ? 'observed' : 'told',
    get country() {
      return seen.country;
    },
    get zone() {
      return seen.zone;
    },
    task: token ? token.task : context.task && { provenance: 'declared', ...context.task },
    binding: bindingOf({ jkt: claims?.cnf?.jkt, x5t: claims?.cnf?.['x5t#S256'] }),
    method: token ? 'access_token' : 'none',
    proofAge: claims ? Math.max(0, Math.floor(now / 1000) - claims.iat) : longAgo,
    scope,
    details,
    chainDepth: actorsOf(claims?.act).length,
    subject: claims?.act ? claims.sub : undefined,
    chain: token?.chain,
    mandate: claims?.mandate,
    operation: asked.registered ? undefined : action.name,
    claimed: claimedIn(question, asked),
  };
  return { principal, action: 'resource:access', resource: asked.policy, context: at };
}

/** What the asking side says and nobody vouches for, by where it said so. */
function claimedIn({ subject, action, resource, context }: Question, { registered }: Asked): Record<string, string> {
  return {
    ...prefixed('context', context.claimed),
    ...prefixed('action', action.properties),
    ...(subject.type === agentType && prefixed('subject', subject.properties)),
    ...(registered && prefixed('resource', resource.properties)),
  };
}

const prefixed = (where: string, properties: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(properties).map(([name, value]) => [`${where}.${name}`, value]));

/** What policies that allow it say about where and when (`@limit_…`) holds for access as it does for tokens. @throws No */
function withinLimits({ answer }: PolicySaid, { context }: PolicyRequest): void {
  if (answer.decision !== 'allow') return;
  const outside = contextRefusal(answer.limits.context, presenterOf(context, context.at));
  if (outside) throw new No(`outside of where policies allow it (${outside})`);
}
