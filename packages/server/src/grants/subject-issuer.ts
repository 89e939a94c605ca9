/** An ID token or access token of a trusted issuer as a subject token: the word of somebody who is known here by another name. */
import { isJsonObject, type JsonObject } from '@bailiwick/protocol';
import type { Binding } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { claimsFit } from '../federation/claim-rule.ts';
import { type IssuedToken, issuerNamedIn, readIssuedToken } from '../federation/issued-token.ts';
import { trustedIssuer } from '../federation/issuers.ts';
import type { IssuerRule, TokenKind, TrustedIssuer } from '../federation/trusted-issuer.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { firstNotAlive } from '../liveness/liveness.ts';
import { personOfIdentity } from '../people/identities.ts';
import { findPerson, selectPeople } from '../people/store.ts';
import { accessTokenType } from '../tokens/issue.ts';
import { type ActingClient, isBoundTo } from './actor.ts';
import { inFrontOf, type Subject } from './subject.ts';
import { isNamed } from './subject-token.ts';
import { idTokenType } from './token-types.ts';

interface Shown {
  /** `subject_token_type` */
  type: string;
  token: string;
}

/** Whether a subject token is said to be another issuer's: that decides nothing but whose keys are tried. ID tokens we issue none. */
export function isForeign({ config }: Deps, { type, token }: Shown): boolean {
  if (type === idTokenType) return true;
  const named = issuerNamedIn(token);
  return named !== undefined && named !== config.issuer;
}

/**
 * The person whom a token of a trusted issuer is about, for whom the client may act by the first rule that fits. It may be shown again for as long
 * as it is taken: an agent works on by it, as it does by a mandate, and it is worth nothing without the agent's own key.
 * @throws OAuthError `invalid_request`
 * @see RFC 8693 §2.1, §4.4, OpenID Connect Core §3.1.3.7, RFC 9068 §4
 */
export async function subjectOfIssuer(
  deps: Deps,
  acting: ActingClient,
  shown: Shown,
  binding: Binding | undefined,
): Promise<Subject> {
  const { agent, asOf } = acting.client;
  const name = issuerNamedIn(shown.token);
  if (name === undefined) throw unfit('is no JWT that names its issuer');
  const issuer = await trustedIssuer(deps, asOf.version, agent.org, name);
  if (!issuer) throw unfit('is not accepted: its issuer is not trusted here');
  const issued = await readIssuedToken(deps, issuer, { token: shown.token, as: kindOf(shown.type) });
  const { claims, cnf, act, endsAt } = issued;
  if (cnf && !isBoundTo(cnf, binding)) throw unfit('is bound to another key than the one that this request proves');
  if (claims.may_act !== undefined && !letsAct(deps, acting, claims.may_act))
    throw unfit('lets another party act (may_act)');
  const rule = ruleFor(issuer, claims, agent.id);
  const person = await personFor(deps, issuer, rule, issued);
  const now = deps.clock.now();
  const stoppedBy = await firstNotAlive(deps.db, [issuer.id, person], { rev: sinceEver, now });
  if (stoppedBy !== undefined) throw unfit(stoppedBy === person ? nobody : 'is of an issuer that is suspended');
  const [only, ...others] = rule.resources;
  return {
    sub: person,
    profile: 'user',
    person,
    act: inFrontOf(acting.actor, act),
    before: [],
    line: [],
    rule: {
      ...rule,
      by: `rule ${rule.name} of ${issuer.id}`,
      issuer: issuer.id,
      rule: rule.name,
      agent: agent.id,
      endsAt: now + (rule.maxLifetimeSeconds ?? Number.POSITIVE_INFINITY) * 1000,
    },
    issued: { scope: rule.withinScope ? (issued.scope ?? noScope(issued)) : undefined, endsAt },
    token: undefined,
    links: [issuer.id, person],
    tags: [],
    resource: others.length === 0 ? only?.resource : undefined,
  };
}

/** What was suspended and is resumed goes on: only its earlier tokens are dead. */
const sinceEver = Number.MAX_SAFE_INTEGER;

const kindOf = (type: string): TokenKind | 'jwt' =>
  type === idTokenType ? 'id_token' : type === accessTokenType ? 'access_token' : 'jwt';

/** Whoever is named has to be the client, by our name for it: who else could say so? @see RFC 8693 §4.4 */
const letsAct = (deps: Deps, acting: ActingClient, mayAct: unknown): boolean =>
  isJsonObject(mayAct) && isNamed(deps, acting, mayAct);

function ruleFor({ rules }: TrustedIssuer, claims: JsonObject, agent: string): IssuerRule {
  const rule = rules.find((each) => each.agents.includes(agent) && claimsFit(each.claims, claims));
  if (rule) return rule;
  throw unfit('is one by which no rule of its issuer lets this agent act');
}

/** An access token that names no scope allows none; an ID token has no say in that. */
const noScope = ({ kind }: IssuedToken): readonly string[] | undefined => (kind === 'access_token' ? [] : undefined);

/** Id of a person. A foreign subject is nobody here but by a link, or by an address where the rule takes the issuer's word for it. */
async function personFor(
  deps: Deps,
  { org, issuer }: TrustedIssuer,
  rule: IssuerRule,
  { sub, claims }: IssuedToken,
): Promise<string> {
  const id =
    rule.person === 'identity'
      ? await personOfIdentity(deps.db, deps, org, { issuer, subject: sub })
      : await personOfAddress(deps, org, claims);
  const person = id === undefined ? undefined : await findPerson(deps.db, id);
  if (person?.org === org && person.status === 'active') return person.id;
  throw unfit(nobody);
}

/** The one person who has this address, where the issuer says that it has seen to it that it is theirs. */
async function personOfAddress(
  { db }: Deps,
  org: string,
  { email, email_verified: isVerified }: JsonObject,
): Promise<string | undefined> {
  if (isVerified !== true || typeof email !== 'string' || !/^[^\p{C}\s]{3,254}$/u.test(email)) return undefined;
  const [person, ...others] = await selectPeople(db, { org, email, limit: 2 });
  return others.length === 0 ? person?.id : undefined;
}

const nobody = 'is about nobody who is known here';
const unfit = (why: string) => new OAuthError('invalid_request', `subject_token ${why}`);
