/** The trusted issuers of a fleet file: how their word lets agents act for people, compared with how they are trusted, and written. */
import { canonicalJson } from '@bailiwick/protocol';
import type { TrustedIssuer } from '../registry.ts';
import { type Change, change, type Present } from './changes.ts';
import type { Fleet } from './fleet.ts';
import type { FleetIssuer, FleetRule } from './fleet-acting.ts';
import { type IdOf, type MandateNames, passingOf, powerBody, presentLines, wantedLines } from './mandates.ts';

/** What has to change. Rules are the whole of them, in their order: the first that fits decides. */
export function issuerChanges(fleet: Fleet, present: Present, names: MandateNames): Change[] {
  return Object.entries(fleet.trusted_issuers).flatMap(([name, { rules, ...wanted }]) =>
    change(
      'trusted_issuer',
      name,
      present.issuers.find(({ issuer }) => issuer === name),
      { ...sorted(wanted), rules: rules.map((rule, at) => lineOf(at, rule.name, wantedRule(rule, names))) },
      ({ rules: before, ...issuer }: TrustedIssuer) => ({
        ...sorted(issuer),
        rules: before.map((rule, at) => lineOf(at, rule.name, presentRule(rule, names))),
      }),
    ),
  );
}

/** Those that the file doesn't name, where it names some. */
export function issuersToEnd(fleet: Fleet, { issuers }: Present): { id: string; name: string }[] {
  if (Object.keys(fleet.trusted_issuers).length === 0) return [];
  return issuers.flatMap(({ id, issuer }) => (issuer in fleet.trusted_issuers ? [] : [{ id, name: issuer }]));
}

/** One of the file in the words of the admin API. */
export function issuerBody({ rules, ...rest }: FleetIssuer, id: IdOf): Record<string, unknown> {
  return {
    ...rest,
    rules: rules.map(({ agents, resources, passing, ...rule }) => ({
      ...rule,
      agents: agents.map((name) => id('agent', name)),
      ...powerBody({ resources, passing }, id),
    })),
  };
}

type Settings = Pick<FleetIssuer, 'jwks_uri' | 'algorithms' | 'accepts' | 'audiences' | 'max_age_seconds'>;

const sorted = ({ jwks_uri, algorithms, accepts, audiences, max_age_seconds }: Settings) => ({
  jwks_uri,
  algorithms: algorithms?.toSorted(),
  accepts: accepts?.toSorted(),
  audiences: audiences?.toSorted(),
  max_age_seconds,
});

type PresentRule = TrustedIssuer['rules'][number];

const wantedRule = (rule: FleetRule, { nameOf, resourceName }: MandateNames) => ({
  ...rule,
  agents: rule.agents.map(nameOf),
  resources: wantedLines(rule.resources, resourceName),
  passing: passingOf(rule.passing ?? {}, nameOf),
});

const presentRule = (rule: PresentRule, { nameOf, resourceName }: MandateNames) => ({
  ...rule,
  agents: rule.agents.map(nameOf),
  resources: presentLines(rule.resources, resourceName),
  passing: passingOf(rule.passing, nameOf),
});

/** A rule in one line, the same however it was written: what it says beside what every rule says. */
function lineOf(
  at: number,
  name: string,
  rule: ReturnType<typeof wantedRule> | ReturnType<typeof presentRule>,
): string {
  const { agents, resources, claims, person, context, task, passing, max_lifetime_seconds, within_scope } = rule;
  const said = {
    agents: agents.toSorted(),
    resources,
    ...(Object.keys(claims).length > 0 && { claims }),
    ...(person !== 'identity' && { person }),
    ...(context && { context }),
    ...(task && { task }),
    ...((passing.depth > 0 || passing.to) && { passing }),
    ...(max_lifetime_seconds !== undefined && { max_lifetime_seconds }),
    ...(within_scope && { within_scope }),
  };
  return `${at + 1}. ${name} ${canonicalJson(said)}`;
}
