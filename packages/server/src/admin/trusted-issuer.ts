/** A trusted issuer as the admin API takes and shows it. */
import { jwsAlgorithms } from '@bailiwick/protocol';
import { z } from 'zod';
import { activeAgent, knownPassing, knownTask } from '../decide/named-in-mandates.ts';
import { type NamedResource, namedResources } from '../decide/named-resources.ts';
import { type IssuerRule, type TrustedIssuer, tokenKinds, waysToPersons } from '../federation/trusted-issuer.ts';
import { rfc3339 } from '../lib/clock.ts';
import { urlFault } from '../lib/safe-fetch.ts';
import { Unfit } from '../lib/unfit.ts';
import { shownPower, showPower } from '../mandates/shown.ts';
import { wantedPower } from '../mandates/wanted.ts';
import { fitting } from '../web/invalid.ts';
import { flag, idOf, line, oneOf, record, setOf, shownTime, taskName, wholeNumber } from './fields.ts';
import { contextOf, identifierOf } from './mandate.ts';
import type { Call, WriteCall } from './route.ts';
import { common } from './shapes.ts';

const claimText = line(1000, 1);
const claimMessage = 'must be one of {"exact": …}, {"prefix": "…"} and {"glob": "…"}';
const claimRule = z
  .union(
    [
      record({
        exact: z.union([claimText, z.boolean(), z.int()], { error: 'must be text, a whole number or a boolean' }),
      }),
      record({ prefix: claimText }),
      record({ glob: claimText }),
    ],
    { error: claimMessage },
  )
  .meta({
    description:
      '`exact`, `prefix`, or `glob`, in which `*` stands for any characters but a slash. Of a claim that is a list one member has to fit.',
  });

const claims = z
  .record(line(200, 1), claimRule, { error: 'must be a JSON object' })
  .refine((all) => Object.keys(all).length <= 20, 'must be at most 20 claims');

const { limits: _, ...power } = wantedPower;

const wantedRule = record({
  name: taskName.meta({ description: 'What it is called in tokens and in the log.' }),
  claims: claims.default({}).meta({ description: 'What the token has to say: all of it.' }),
  person: oneOf(waysToPersons).default('identity').meta({
    description:
      'How the token’s subject becomes a person. `identity`: one that is linked to them. `verified_email`: by their address, where the token says `email_verified`: whoever has an address at the issuer is the person here.',
  }),
  agents: setOf(idOf('agent'), 100, 'agents')
    .refine((some) => some.length > 0, 'must name at least one')
    .meta({ description: 'Who may act by it.' }),
  ...power,
  max_lifetime_seconds: wholeNumber(1, 86_400).optional().meta({
    description: 'How long a token may live that is got by it. Never longer than the token that it is got by.',
  }),
  within_scope: flag.default(false).meta({
    description: 'The `scope` of an access token is a bound, too: where both have the same scopes.',
  }),
});

export const issuerField = line(512, 1)
  .refine((url) => urlFault(url) === undefined && !url.includes('?'), 'must be an https URL without a query')
  .meta({ description: 'What its tokens carry as `iss`, exactly: a slash at the end matters.' });

export const writableIssuer = {
  jwks_uri: line(2048, 1).optional().meta({
    description: 'Where its keys are. Without: its own metadata says it (OpenID Connect Discovery, else RFC 8414).',
  }),
  algorithms: setOf(oneOf(jwsAlgorithms), jwsAlgorithms.length, 'algorithms')
    .refine((some) => some.length > 0, 'must name at least one')
    .default([...jwsAlgorithms]),
  accepts: setOf(oneOf(tokenKinds), tokenKinds.length, 'kinds')
    .refine((some) => some.length > 0, 'must name at least one')
    .default(['id_token'])
    .meta({ description: 'Access tokens are those of RFC 9068: with the type `at+jwt`.' }),
  audiences: setOf(line(512, 1), 20, 'audiences')
    .refine((some) => some.length > 0, 'must name at least one')
    .optional()
    .meta({
      description: 'Whom its tokens are for: what they carry as `aud`, and `azp`. This server, if nothing is said.',
    }),
  max_age_seconds: wholeNumber(1, 86_400).default(3600).meta({
    description: 'How long after it was issued a token is taken, even if it lives longer.',
  }),
  rules: z
    .array(wantedRule, { error: 'must be a list' })
    .min(1, 'must have at least one rule')
    .max(50, 'must be at most 50 rules')
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'must give each rule a name of its own')
    .meta({ description: 'The first whose claims fit and that names the agent decides; what none lets is refused.' }),
};

export type WantedIssuer = z.output<z.ZodObject<typeof writableIssuer>>;

const { limits: __, ...shownRulePower } = shownPower;

const shownRule = z.strictObject({
  name: z.string(),
  claims: z.record(
    z.string(),
    z.union([
      z.strictObject({ exact: z.union([z.string(), z.boolean(), z.number()]) }),
      z.strictObject({ prefix: z.string() }),
      z.strictObject({ glob: z.string() }),
    ]),
  ),
  person: oneOf(waysToPersons),
  agents: z.array(idOf('agent')),
  ...shownRulePower,
  max_lifetime_seconds: z.number().optional(),
  within_scope: z.boolean(),
});

export const shownIssuer = z.strictObject({
  ...common('trusted_issuer'),
  issuer: z.string(),
  status: oneOf(['active', 'suspended']),
  jwks_uri: z.string(),
  algorithms: z.array(oneOf(jwsAlgorithms)),
  accepts: z.array(oneOf(tokenKinds)),
  audiences: z.array(z.string()),
  max_age_seconds: z.number(),
  rules: z.array(shownRule),
  keys_at: shownTime.optional().meta({ description: 'When its keys were last fetched.' }),
  fault: z.string().optional().meta({ description: 'Why they could not be, the last time.' }),
  updated_at: shownTime,
});

export type ShownIssuer = z.output<typeof shownIssuer>;

export async function showIssuer(call: Call, issuer: TrustedIssuer): Promise<ShownIssuer> {
  const rules: ShownIssuer['rules'] = [];
  for (const each of issuer.rules) rules.push(await showRule(call, each));
  return {
    id: issuer.id,
    organization: issuer.org,
    created_at: rfc3339(issuer.createdAt),
    issuer: issuer.issuer,
    status: issuer.status,
    jwks_uri: issuer.jwksUri,
    algorithms: [...issuer.algorithms],
    accepts: [...issuer.accepts],
    audiences: [...issuer.audiences],
    max_age_seconds: issuer.maxAgeSeconds,
    rules,
    ...(issuer.jwksAt !== undefined && { keys_at: rfc3339(issuer.jwksAt) }),
    ...(issuer.fault !== undefined && { fault: issuer.fault }),
    updated_at: rfc3339(issuer.updatedAt),
  };
}

async function showRule(call: Call, rule: IssuerRule): Promise<ShownIssuer['rules'][number]> {
  const { limits: _none, ...shown } = await showPower({ ...rule, limits: {} }, identifierOf(call));
  return {
    name: rule.name,
    claims: { ...rule.claims },
    person: rule.person,
    agents: [...rule.agents],
    ...shown,
    ...(rule.maxLifetimeSeconds !== undefined && { max_lifetime_seconds: rule.maxLifetimeSeconds }),
    within_scope: rule.withinScope,
  };
}

/**
 * What an administrator writes, as rules: all that they name is there, and every agent was given every resource.
 * @throws Problem 422 naming the field
 */
export async function writtenRules(call: WriteCall, wanted: WantedIssuer['rules']): Promise<IssuerRule[]> {
  const rules: IssuerRule[] = [];
  for (const [index, each] of wanted.entries()) {
    rules.push(await fitting(() => inRule(index, () => writtenRule(call, each))));
  }
  return rules;
}

async function writtenRule(call: WriteCall, wanted: WantedIssuer['rules'][number]): Promise<IssuerRule> {
  const { q, org } = call;
  let resources: NamedResource[] = [];
  for (const [index, id] of wanted.agents.entries()) {
    const agent = await asField(`agents[${index}]`, () => activeAgent(call, org.id, id));
    resources = await namedResources(q, agent, wanted.resources, 'bounds');
  }
  return {
    name: wanted.name,
    claims: wanted.claims,
    person: wanted.person,
    agents: wanted.agents,
    resources,
    context: contextOf(wanted.context),
    task: await knownTask(call, org.id, wanted.task),
    passing: await knownPassing(call, org.id, wanted.passing),
    maxLifetimeSeconds: wanted.max_lifetime_seconds,
    withinScope: wanted.within_scope,
  };
}

/** Says in which rule it is what doesn't fit. */
const inRule = <Result>(index: number, work: () => Promise<Result>): Promise<Result> =>
  renamed(work, (field) => `rules[${index}].${field}`);
const asField = <Result>(field: string, work: () => Promise<Result>): Promise<Result> => renamed(work, () => field);

async function renamed<Result>(work: () => Promise<Result>, name: (field: string) => string): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Unfit) throw new Unfit(name(error.field), error.message);
    throw error;
  }
}
