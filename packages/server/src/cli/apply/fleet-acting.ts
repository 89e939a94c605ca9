/** What of a fleet file lets agents act for people: mandates, and issuers whose word is believed. */
import { jwsAlgorithms } from '@bailiwick/protocol';
import { z } from 'zod';
import { tokenKinds, waysToPersons } from '../../federation/trusted-issuer.ts';
import { context, count, list, scope, text, time } from './fleet-fields.ts';

/** What may be done on each of them. */
const resources = z.record(
  z.string(),
  z.union(
    [
      list(scope).transform((scope) => ({ scope, details: [] as Record<string, unknown>[] })),
      z.strictObject({
        scope: list(scope).default([]),
        details: list(z.record(z.string(), z.unknown())).default([]),
      }),
    ],
    'must be a list of scopes, or {scope: [...], details: [{type: …}]}',
  ),
  'must be a list of "resource: [scope, scope]"',
);

const task = z.strictObject({ workflow: text.optional(), environment: text.optional() });
const passing = z.strictObject({ depth: count(0, 4).optional(), to: list(z.string()).optional() });

/** What an administrator lets an agent do for a person. */
export const mandateSchema = z.strictObject(
  {
    person: z.string('must be the person for whom it may act'),
    agent: z.string('must be the agent that may act'),
    resources,
    context: context.optional(),
    task: task.optional(),
    limits: z
      .strictObject({
        uses: count(1, 1_000_000_000).optional(),
        amounts: list(
          z.strictObject({
            type: text,
            amount: text,
            unit: z.strictObject({ at: text, is: text }).optional(),
            total: z.number('must be a number'),
          }),
        ).optional(),
      })
      .optional(),
    passing: passing.optional(),
    expires_at: time,
  },
  'must describe a mandate: person, agent, resources, expires_at',
);

/** What may be done, and how it may be passed on. */
export type FleetPower = Pick<FleetMandate, 'resources' | 'passing'>;
export type FleetMandate = z.output<typeof mandateSchema>;

const oneOf = <const Values extends readonly string[]>(values: Values) =>
  z.enum(values, `must be one of ${values.join(', ')}`);

const claim = z.union(
  [
    z.strictObject({ exact: z.union([z.string(), z.number(), z.boolean()], 'must be text, a number, true or false') }),
    z.strictObject({ prefix: z.string() }),
    z.strictObject({ glob: z.string() }),
  ],
  'must be {exact: …}, {prefix: …} or {glob: …}',
);

const rule = z.strictObject(
  {
    name: text,
    claims: z.record(z.string(), claim).default({}),
    person: oneOf(waysToPersons).default('identity'),
    agents: list(z.string('must be the name of an agent')).min(1, 'must name at least one agent'),
    resources,
    context: context.optional(),
    task: task.optional(),
    passing: passing.optional(),
    max_lifetime_seconds: count(1, 86_400).optional(),
    within_scope: z.boolean('must be true or false').default(false),
  },
  'must be a rule: name, agents, resources, and what else it asks for',
);

/** Another issuer, and what its tokens let agents do. The first rule that fits decides: they are a list. */
export const issuerSchema = z.strictObject(
  {
    jwks_uri: text.optional(),
    algorithms: list(oneOf(jwsAlgorithms)).optional(),
    accepts: list(oneOf(tokenKinds)).optional(),
    audiences: list(text).optional(),
    max_age_seconds: count(1, 86_400).optional(),
    rules: list(rule).min(1, 'must have at least one rule'),
  },
  'must say how an issuer is trusted, with at least its rules',
);

export type FleetIssuer = z.output<typeof issuerSchema>;
export type FleetRule = z.output<typeof rule>;
