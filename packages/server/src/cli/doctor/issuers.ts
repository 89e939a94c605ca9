/** Trusted issuers that help nobody: those whose keys can't be had, and rules by which nobody can act. */
import { isDeepStrictEqual } from 'node:util';
import { keysBelievedForMs } from '../../federation/trusted-issuer.ts';
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import type { Agent, Resource, Role, TrustedIssuer } from '../registry.ts';
import { type Finding, fail, ok, someOf, warn } from './finding.ts';
import { isGivenAny, isThereAny, type Registered } from './power.ts';

type Rule = TrustedIssuer['rules'][number];

/** Nothing where no issuer is trusted now, or where they are not this identity's to see. */
export async function checkTrustedIssuers(api: Api, agents: readonly Agent[], now: number): Promise<Finding[]> {
  try {
    const all = await api.list<TrustedIssuer>('/trusted-issuers');
    const issuers = all.filter(({ status }) => status === 'active');
    if (issuers.length === 0) return [];
    const roles = await api.list<Role>('/roles');
    const resources = await api.list<Resource>('/resources');
    return findings(issuers, { agents, roles, resources }, now);
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return [];
    throw error;
  }
}

function findings(issuers: readonly TrustedIssuer[], registered: Registered, now: number): Finding[] {
  const check = 'issuers';
  const failing = issuers.filter(({ fault }) => fault !== undefined);
  const named = (some: readonly TrustedIssuer[]) => someOf(some.map(({ issuer, fault }) => `${issuer} (${fault})`));
  const isUnknown = ({ keys_at: at }: TrustedIssuer) => at === undefined || now > Date.parse(at) + keysBelievedForMs;
  const [unknown, old] = [failing.filter(isUnknown), failing.filter((one) => !isUnknown(one))];
  const idle = issuers.flatMap(({ issuer, rules }) =>
    rules.flatMap((rule, at) => {
      const why = whyIdle(rule, rules.slice(0, at), registered);
      return why === undefined ? [] : [`${rule.name} of ${issuer} (${why})`];
    }),
  );
  const todo = 'bailiwick issuers refresh ISSUER; then look at its jwks_uri, and at outbound.…';
  const found = [
    ...(unknown.length === 0
      ? []
      : [fail(check, `No token of theirs is taken, since their keys can't be had: ${named(unknown)}.`, todo)]),
    ...(old.length === 0
      ? []
      : [
          warn(
            check,
            `Their keys could not be fetched the last time, and are believed for a day: ${named(old)}.`,
            todo,
          ),
        ]),
    ...(idle.length === 0
      ? []
      : [
          warn(
            check,
            `Nobody can act by these rules: ${someOf(idle)}.`,
            'bailiwick issuers trust ISSUER --rules FILE, without them; or bailiwick roles grant ROLE AGENT, and agents update AGENT --resource RESOURCE',
          ),
        ]),
  ];
  if (found.length > 0) return found;
  return [ok(check, `keys of each are known, and somebody can act by each rule (${issuers.length})`)];
}

/** Why a rule lets nobody act, as long as nothing is changed; undefined of one that may. */
function whyIdle({ agents, claims, resources }: Rule, before: readonly Rule[], registered: Registered) {
  const retired = new Set(registered.agents.filter(({ status }) => status === 'retired').map(({ id }) => id));
  const left = agents.filter((id) => !retired.has(id));
  if (left.length === 0) return 'its agents are retired';
  if (!isThereAny(resources, registered)) return 'what it allows is there no more';
  if (!left.some((id) => isGivenAny(id, resources, registered))) return 'no role of its agents gives any of it';
  // the first that fits decides
  const wider = before.find(
    (one) =>
      left.every((id) => one.agents.includes(id)) &&
      Object.entries(one.claims).every(([name, rule]) => isDeepStrictEqual(claims[name], rule)),
  );
  return wider && `${wider.name} before it takes all that would fit`;
}
