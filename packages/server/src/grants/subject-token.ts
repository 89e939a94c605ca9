/** An access token of ours as a subject token: whose it is goes on as the subject, and who acts comes in front of those before. */
import { type AccessTokenClaims, actorsOf, linkTag, type MayAct, tagsOf } from '@bailiwick/protocol';
import type { Binding, Client } from '../decide/plan.ts';
import { agentsAmong } from '../decide/registered.ts';
import type { Deps } from '../deps.ts';
import { issuerRule } from '../federation/issuers.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Counter } from '../liveness/liveness.ts';
import { type MandateStanding, standingLine } from '../mandates/standing.ts';
import type { Resource } from '../resources/resource.ts';
import { spiffeId } from '../tokens/claims.ts';
import { standingOf } from '../tokens/introspect.ts';
import { type ActingClient, isBoundTo } from './actor.ts';
import { authoritiesOf, inFrontOf, mustReach, type RuleAuthority, type Subject } from './subject.ts';
import { resourcesOfAudience } from './target.ts';

/**
 * The subject of a living token that the client may exchange: its own, one that names it in `may_act`, or one for a resource that it serves.
 * @throws OAuthError `invalid_request`: who may not exchange it hears the same as for what is none of ours
 * @see RFC 8693 §2.2.2, §4.4
 */
export async function subjectOfToken(
  deps: Deps,
  acting: ActingClient,
  token: string,
  binding: Binding | undefined,
): Promise<Subject> {
  const { client, actor } = acting;
  const standing = await standingOf(deps, token, client.asOf);
  if (standing.state === 'foreign') throw notAccepted('none of ours');
  const { claims, typ, kid, state } = standing;
  const resource = await resourceOf(deps, client, claims);
  if (!resource || resource.token.typ !== typ) throw notAccepted('no access token');
  const isOwn = claims.client_id === client.agent.id;
  if (claims.org !== client.agent.org || !(isOwn || mayExchange(deps, acting, claims, resource))) {
    throw notAccepted('neither its own, nor named by it, nor serving its resource');
  }
  if (state !== 'alive') throw unfit(state === 'expired' ? 'has expired' : 'has been ended');
  if (isOwn && !isHeldBy(claims, client, binding)) {
    throw unfit('is bound to another key than the one that this request proves');
  }
  const { line, restsOn } = await lineOf(deps, client.asOf, claims);
  const holder = claims.act?.sub ?? claims.sub;
  const isSame = isOwn && holder === actor.sub; // a narrower token for whoever has one already is no hop
  const rule = await ruleOf(deps, client, claims);
  const authorities = authoritiesOf({ line, rule });
  if (authorities.length > 0) {
    const hops = actorsOf(claims.act).filter(({ iss }) => iss === deps.config.issuer).length - authorities.length;
    mustReach(authorities, isSame ? hops : hops + 1, client.agent.id);
  }
  const { agent, asOf } = client;
  const before = await agentsAmong(deps, asOf.version, agent.org, actorsOf(isSame ? claims.act?.act : claims.act));
  const root = await agentsAmong(deps, asOf.version, agent.org, [claims]);
  // an instance goes on from the token of its agent, or of one above it; else nobody comes again
  const goesOn = isSame || (isOwn && isBelow(claims, client));
  if (!goesOn && [...root, ...before].includes(client.agent.id)) throw unfit('would name the same agent twice');
  return {
    sub: claims.sub,
    profile: claims.sub_profile,
    person: claims.sub_profile === 'user' ? claims.sub : undefined,
    act: isSame ? claims.act : inFrontOf(actor, claims.act, claims.sub),
    before,
    isOwn: root.length > 0 && [...root, ...before].every((id) => id === client.agent.id),
    line,
    rule,
    token: claims,
    links: restsOn,
    tags: tagsOf(claims, kid),
    resource: resource.id,
    detailsTypes: resource.detailsTypes,
  };
}

/** What a token of ours is for. */
export async function resourceOf(deps: Deps, client: Client, { aud, links }: AccessTokenClaims) {
  const all = await resourcesOfAudience(deps, client, aud);
  return all.find(({ id }) => links.includes(linkTag(id)));
}

/** Whom `may_act` names, with its instances; without it, an agent that the resource is served by. @see RFC 8693 §4.4 */
function mayExchange(deps: Deps, acting: ActingClient, { may_act }: AccessTokenClaims, resource: Resource): boolean {
  return may_act === undefined ? resource.servedBy.includes(acting.client.agent.id) : isNamed(deps, acting, may_act);
}

/** Whether `may_act` means whoever would act: the agent by our name for it, or the very instance. @see RFC 8693 §4.4 */
export const isNamed = (deps: Deps, { client, actor }: ActingClient, { iss, sub }: Partial<MayAct>): boolean =>
  iss === deps.config.issuer && (sub === actor.sub || sub === spiffeId(deps.config, client.agent));

/** By its key; or by an instance below whose it is, which has a key of its own. */
function isHeldBy({ cnf, instance }: AccessTokenClaims, client: Client, binding: Binding | undefined): boolean {
  if (cnf === undefined || isBoundTo(cnf, binding)) return true;
  return isBelow({ instance }, client);
}

const isBelow = ({ instance: above }: Pick<AccessTokenClaims, 'instance'>, { instance }: Client): boolean =>
  instance !== undefined && (above === undefined || instance.ancestors.includes(above));

/**
 * The mandates that it goes by, which last no longer than all that they rest on, whatever was known when the token was issued; and whose ends the
 * end of what comes of it is, as far as they are known by more than tags.
 */
export async function lineOf(
  deps: Deps,
  asOf: Counter,
  { mandate: id, issuer_rule: rule, sub: person }: Pick<AccessTokenClaims, 'mandate' | 'issuer_rule' | 'sub'>,
): Promise<Pick<Subject, 'line'> & Pick<MandateStanding, 'restsOn'>> {
  if (id === undefined) return { line: [], restsOn: rule ? [rule.issuer, person] : [] };
  const standing = await standingLine(deps.db, asOf, id, deps.clock.now());
  if (!standing || standing.stoppedBy !== undefined) throw unfit('has been ended');
  const { restsOn, endsAt } = standing;
  const [mandate, ...ancestors] = standing.line;
  return { line: [{ ...mandate, endsAt }, ...ancestors], restsOn };
}

/** The rule of a trusted issuer that it goes by, which lasts no longer than it does itself. */
async function ruleOf(deps: Deps, client: Client, claims: AccessTokenClaims): Promise<RuleAuthority | undefined> {
  const { issuer_rule: named, act, exp } = claims;
  if (named === undefined) return undefined;
  const {
    asOf,
    agent: { org },
  } = client;
  const rule = await issuerRule(deps, asOf.version, named);
  const agent = (await agentsAmong(deps, asOf.version, org, actorsOf(act))).at(-1); // whoever showed the issuer's token
  if (!rule || agent === undefined) throw unfit('has been ended');
  return { ...rule, ...named, by: `rule ${named.rule} of ${named.issuer}`, agent, endsAt: exp * 1000 };
}

const notAccepted = (reason: string) =>
  new OAuthError('invalid_request', 'subject_token is not accepted from this client', {
    reason: `subject_token: ${reason}`,
  });
const unfit = (why: string) => new OAuthError('invalid_request', `subject_token ${why}`);
