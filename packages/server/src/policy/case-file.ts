/** Test cases written beside policies: what a file of them holds. */
import { isTimeZone, ProtocolError, parseContext, sensitivities, type TokenContext } from '@bailiwick/protocol';
import { z } from 'zod';
import { formatRequirement, readRequirement } from './annotations.ts';
import { type PolicyRequest, policyActions } from './request.ts';

/** What should come of a request. What isn't said may be anything. */
export interface PolicyCase {
  name: string;
  request: PolicyRequest;
  expect: 'allow' | 'deny' | 'step_up';
  /** Statements, `<policy>/<@id>`: exactly those that decide. */
  by: readonly string[] | undefined;
  /** As policies write them: exactly these. */
  requirements: readonly string[] | undefined;
  limits: { lifetimeSeconds: number | undefined; context: TokenContext | undefined } | undefined;
}

/** Noon on a Monday, where nothing else is said: a case means the same whenever it is run. */
const usualTime = '2026-01-05T12:00:00Z';

/** A member that isn't known is told by its name. */
const otherThanKeys = (message: string) => (issue: { code?: string | undefined }) =>
  issue.code === 'unrecognized_keys' ? undefined : message;

const string = (what: string) => z.string({ error: `must be ${what}` }).max(1000, `must be ${what}`);
const strings = (what: string) => z.array(string(what), { error: `must be a list of ${what}` });
/** Policies write a colon after it, so that it has none itself. */
const typeName = (what: string) =>
  string(what).refine((name) => !name.includes(':'), `must be ${what}, without a colon`);
const oneOf = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values, { error: `must be ${values.slice(0, -1).join(', ')} or ${values.at(-1)}` });
const record = (what: string) =>
  z.record(z.string(), string('text, in quotes'), { error: `must be ${what} by name` }).default({});
const count = z.int({ error: 'must be a whole number' }).min(0, 'must be at least 0');

const agent = z.strictObject(
  {
    name: string('the name of an agent'),
    roles: strings('names of roles').default([]),
    kind: oneOf(['ai_agent', 'workload', 'device']).default('ai_agent'),
    environment: string('the name of an environment').default('production'),
    owner: string('the id of a person or team').default('tea_owner'),
    id: string('the id of an agent').default('agt_case'),
    instance: string('the id of an instance').optional(),
    attested: record('what is attested'),
  },
  { error: otherThanKeys('must be an agent: name, roles, kind, environment, owner, id, instance, attested') },
);

const subject = z.strictObject({
  type: typeName('the type of a subject'),
  id: string('the id of a subject'),
  properties: record('properties'),
});

const sensitivity = oneOf(sensitivities).default('low');

const resource = z.union(
  [
    string('the identifier of an API').transform((api) => ({ api, sensitivity: 'low' as const, name: undefined })),
    z.strictObject({
      api: string('the identifier of an API'),
      name: string('the name of the API').optional(),
      sensitivity,
    }),
    z.strictObject({
      api: string('the identifier of an API'),
      operation: string('the name of an operation'),
      sensitivity,
    }),
    z.strictObject({ api: string('the identifier of an API'), tool: string('the name of a tool'), sensitivity }),
    z.strictObject({
      type: typeName('the type of an object'),
      id: string('the id of an object'),
      properties: record('properties'),
    }),
  ],
  { error: 'must be the identifier of an API, or have api with operation or tool, or type and id' },
);

const zone = z.union(
  [
    string('the name of a zone').transform((name) => ({ name, provenance: 'observed' as const })),
    z.strictObject({ name: string('the name of a zone'), provenance: oneOf(['attested', 'observed']) }),
  ],
  { error: 'must be the name of a zone, or its name and provenance' },
);

const task = z.strictObject({
  provenance: oneOf(['orchestrated', 'declared']).default('orchestrated'),
  id: string('the id of a task').optional(),
  workflow: string('the name of a workflow').optional(),
  step: string('the name of a step').optional(),
  environment: string('the name of an environment').optional(),
  purpose: string('a purpose').optional(),
});

const context = z.strictObject(
  {
    at: z.iso
      .datetime({ offset: true, error: `must be a time with its offset, such as ${usualTime}` })
      .default(usualTime),
    time_zone: string('the name of a time zone')
      .refine(isTimeZone, 'must be the name of a time zone, such as Europe/Vienna')
      .default('UTC'),
    address: string('an address').optional(),
    address_provenance: oneOf(['observed', 'told']).default('observed'),
    country: string('two capitals, such as DE').optional(),
    zone: zone.optional(),
    task: task.optional(),
    binding: oneOf(['dpop', 'mtls', 'dpop+mtls', 'none']).default('dpop'),
    method: string('a method of client authentication').default('private_key_jwt'),
    proof_age: count.default(0),
    scope: strings('scopes').default([]),
    details: strings('types of authorization_details').default([]),
    chain_depth: count.default(0),
    subject: string('the id of a person').optional(),
    chain: strings('ids of agents').optional(),
    mandate: string('the id of a mandate').optional(),
    operation: string('the name of an operation').optional(),
    claimed: record('what is claimed'),
  },
  { error: otherThanKeys('must be the circumstances: at, time_zone, address, country, zone, task, scope, …') },
);

const limits = z.strictObject({
  lifetime_seconds: count.optional(),
  ctx: z
    .unknown()
    .transform((value, issues): TokenContext => {
      try {
        return parseContext(value);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        issues.addIssue({ code: 'custom', message: `is no context: ${error.message}` });
        return z.NEVER;
      }
    })
    .optional(),
});

const policyCase = z
  .strictObject({
    name: string('a sentence'),
    principal: z.union([agent, z.strictObject({ subject })], {
      error: 'must be an agent (name, roles, …), or { subject: { type, id } }',
    }),
    action: oneOf(policyActions).default('token:issue'),
    resource,
    context: context.prefault({}),
    expect: oneOf(['allow', 'deny', 'step_up']),
    by: strings('statements: policy/@id').optional(),
    requirements: z
      .array(
        string('a requirement').transform((text, issues) => {
          const requirement = readRequirement(text.trim());
          if (requirement !== undefined) return formatRequirement(requirement);
          issues.addIssue({
            code: 'custom',
            message: 'must be approval, fresh_proof <seconds>, narrower, binding dpop, binding mtls or task',
          });
          return z.NEVER;
        }),
        { error: 'must be a list of requirements' },
      )
      .optional(),
    limits: limits.optional(),
  })
  .transform(
    (given): PolicyCase => ({
      name: given.name,
      request: requestOf(given),
      expect: given.expect,
      by: given.by,
      requirements: given.requirements,
      limits: given.limits && { lifetimeSeconds: given.limits.lifetime_seconds, context: given.limits.ctx },
    }),
  );

/** A file of cases: `cases: [...]`. What it says is what {@link PolicyCase} holds, in words of the schema for policies. */
export const caseFile = z
  .strictObject({ cases: z.array(policyCase, { error: 'must be a list of cases' }).max(2000, 'must be at most 2000') })
  .transform(({ cases }) => cases);

interface Given {
  principal: z.output<typeof agent> | { subject: z.output<typeof subject> };
  action: PolicyRequest['action'];
  resource: z.output<typeof resource>;
  context: z.output<typeof context>;
}

function requestOf({ principal, action, resource: what, context: around }: Given): PolicyRequest {
  return {
    principal:
      'subject' in principal
        ? { ...principal.subject, type: 'Subject', kind: principal.subject.type }
        : { ...principal, type: 'Agent', instance: principal.instance },
    action,
    resource: resourceOf(what),
    context: {
      at: Date.parse(around.at),
      timeZone: around.time_zone,
      address: around.address,
      addressProvenance: around.address_provenance,
      country: around.country,
      zone: around.zone,
      task: around.task,
      binding: around.binding,
      method: around.method,
      proofAge: around.proof_age,
      scope: around.scope,
      details: around.details,
      chainDepth: around.chain_depth,
      subject: around.subject,
      chain: around.chain,
      mandate: around.mandate,
      operation: around.operation,
      claimed: around.claimed,
    },
  };
}

function resourceOf(what: Given['resource']): PolicyRequest['resource'] {
  if (!('api' in what)) return { ...what, type: 'Object', kind: what.type };
  const { api: identifier, sensitivity: level } = what;
  if ('operation' in what) return { type: 'Operation', identifier, name: what.operation, sensitivity: level };
  if ('tool' in what) return { type: 'Tool', identifier, name: what.tool, sensitivity: level };
  return { type: 'Api', identifier, name: what.name ?? identifier, sensitivity: level };
}
