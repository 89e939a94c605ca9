/** What a fleet file says: the strict schema of `bailiwick apply -f fleet.yaml`. */
import { compareRules, jwsAlgorithms } from '@bailiwick/protocol';
import { z } from 'zod';
import { agentKinds } from '../../agents/agent.ts';
import { bindings, provenances } from '../../agents/instance.ts';
import { subjectFields } from '../../credentials/credential.ts';
import { operationSchema } from '../operation.ts';
import { issuerSchema, mandateSchema } from './fleet-acting.ts';
import { context, count, list, name, scope, seconds, text, time } from './fleet-fields.ts';

const key = z.union(
  [
    z.string().transform((file) => ({ file })),
    z.strictObject({ file: text, label: text.optional(), expires_at: time.optional() }),
    z.strictObject({
      jwk: z.looseObject({ kty: z.string() }, 'must be a public JWK'),
      label: text.optional(),
      expires_at: time.optional(),
    }),
  ],
  'must be the name of a key file, or {file: …}, or {jwk: …}',
);

const credentialShape = `must be {certificate: FILE}, {spiffe_id: ID}, or a name in certificates ({${subjectFields.join(' | ')}: NAME, ca: FILE})`;

/** Secrets and enrolment tokens have no place in a file. */
const credential = z
  .strictObject(
    {
      certificate: text.optional(),
      spiffe_id: text.optional(),
      ...Object.fromEntries(subjectFields.map((field) => [field, text.optional()])),
      ca: text.optional(),
      label: text.optional(),
      expires_at: time.optional(),
    } as { [Name in CredentialName | 'ca' | 'label']: z.ZodOptional<typeof text> } & {
      expires_at: z.ZodOptional<typeof time>;
    },
    credentialShape,
  )
  .refine((one) => {
    const [name, ...others] = credentialNames.filter((each) => one[each] !== undefined);
    const named = name !== undefined && others.length === 0;
    return named && (one.ca === undefined || (subjectFields as readonly string[]).includes(name));
  }, credentialShape);

type CredentialName = (typeof credentialNames)[number];
const credentialNames = ['certificate', 'spiffe_id', ...subjectFields] as const;

/** One API or MCP server as a YAML file describes it. */
export const resourceSchema = z.strictObject(
  {
    identifier: z.string('must be the URL of the API, such as https://api.example.com/v1'),
    scopes: z
      .record(scope, z.union([text, z.null().transform(() => '')]), 'must be a list of "scope: what it allows"')
      .optional(),
    operations: list(operationSchema).optional(),
    details_types: z
      .record(
        z.string(),
        z.strictObject(
          {
            description: text.optional(),
            schema: z.record(z.string(), z.unknown(), 'must be a JSON Schema of type object'),
            compare: z.record(z.string(), z.enum(compareRules, `must be one of ${compareRules.join(', ')}`)).optional(),
          },
          'must describe a type of details, with at least "schema: …"',
        ),
        'must be a list of "type: {schema: …}"',
      )
      .optional(),
    token: z
      .strictObject({
        alg: z.enum(jwsAlgorithms, `must be one of ${jwsAlgorithms.join(', ')}`).optional(),
        typ: text.optional(),
        lifetime_seconds: seconds.optional(),
        audience: text.optional(),
        dangerously_bearer: z.boolean('must be true or false').optional(),
        status_list: z.boolean('must be true or false').optional(),
        /** Resources, by name, identifier or id. */
        transactions: list(z.string('must be the name of a resource')).optional(),
      })
      .optional(),
    feed: z
      .strictObject({
        lease_seconds: z
          .number('must be a number from 0.5 to 30')
          .min(0.5, 'must be a number from 0.5 to 30')
          .max(30, 'must be a number from 0.5 to 30')
          .optional(),
        when_lost: z.enum(['introspect', 'refuse'], 'must be introspect or refuse').optional(),
      })
      .optional(),
    /** Agents, by name or id. */
    served_by: list(z.string('must be the name of an agent')).optional(),
  },
  'must describe a resource, with at least "identifier: https://…"',
);

export type FleetResource = z.output<typeof resourceSchema>;

const roleSchema = z.strictObject(
  {
    description: text.optional(),
    permissions: z.record(z.string(), list(scope), 'must be a list of "resource: [scope, scope]"').optional(),
    details: z
      .record(z.string(), list(z.record(z.string(), z.unknown())), 'must be a list of "resource: [{type: …}]"')
      .optional(),
    inherits: list(z.string()).optional(),
  },
  'must describe a role',
);

interface AgentUse {
  default?: boolean | undefined;
  scope?: string[] | undefined;
}

/** What running copies of an agent may be. */
const instanceTemplate = z.strictObject(
  {
    lifetime_seconds: count(60, 86_400).optional(),
    live_at_most: count(1, 1_000_000).optional(),
    depth: count(0, 5).optional(),
    dns_names: list(z.string()).optional(),
    attributes: list(
      z.strictObject(
        {
          name: z.string(),
          provenance: z.enum(provenances, `must be one of ${provenances.join(', ')}`),
          values: list(z.string()).optional(),
        },
        'must be {name: …, provenance: …, values: […]}',
      ),
    ).optional(),
    bind: list(z.enum(bindings, `must be one of ${bindings.join(', ')}`)).optional(),
  },
  'must say what instances may be: lifetime_seconds, live_at_most, depth, dns_names, attributes, bind',
);

const agentSchema = z.strictObject(
  {
    kind: z.enum(agentKinds, `must be one of ${agentKinds.join(', ')}`).optional(),
    owner: z.string('must be the team or person who answers for it, such as team:support'),
    purpose: text.optional(),
    environment: text.optional(),
    expires_at: time.optional(),
    grants: list(text).optional(),
    resources: z
      .union(
        [
          list(z.string()).transform(
            (names): Record<string, AgentUse> => Object.fromEntries(names.map((one) => [one, {}])),
          ),
          z.record(
            z.string(),
            z.union([
              z.null().transform((): AgentUse => ({})),
              z.strictObject({ default: z.boolean().optional(), scope: list(scope).optional() }),
            ]),
          ),
        ],
        'must be a list of resources, or "resource: {default: true, scope: [...]}"',
      )
      .optional(),
    roles: list(z.string()).optional(),
    limits: z
      .strictObject({
        tokens_per_minute: z.int().min(1).optional(),
        token_lifetime_seconds: seconds.optional(),
      })
      .optional(),
    context: context.optional(),
    instances: instanceTemplate.optional(),
    keys: list(key).optional(),
    credentials: list(credential).optional(),
  },
  'must describe an agent, with at least "owner: …"',
);

const trustDomain = z
  .strictObject(
    { url: z.string().optional(), spiffe_id: z.string().optional(), bundle: z.string().optional() },
    'must say where its bundle comes from: {url: …}, {url: …, spiffe_id: …, bundle: FILE} or {bundle: FILE}',
  )
  .refine((one) => one.url !== undefined || (one.bundle !== undefined && one.spiffe_id === undefined), {
    error: 'must have the url of its bundle, or a bundle alone',
  });

const orNothing = <Schema extends z.ZodType>(schema: Schema) =>
  z.union([schema, z.null().transform(() => ({}) as z.output<Schema>)]);

const policyShape = 'must be the name of a file, {file: …, mode: …} or {text: …, mode: …}';
const policyMode = z.enum(['enforce', 'observe'], 'must be enforce or observe').optional();

const policy = z.union(
  [
    z.string().transform((file) => ({ file, text: undefined, mode: undefined })),
    z.strictObject({ file: text, mode: policyMode }).transform((one) => ({ ...one, text: undefined })),
    z.strictObject({ text, mode: policyMode }).transform((one) => ({ ...one, file: undefined })),
  ],
  policyShape,
);

/** What trusted issuers call a person. */
const identity = z.strictObject({ issuer: text, subject: text }, 'must be {issuer: …, subject: …}');

/** The whole file. Everything is keyed by its name. */
export const fleetSchema = z.strictObject(
  {
    organization: name.optional(),
    trust_domains: z
      .record(z.string().regex(/^[a-z0-9._-]{1,255}$/, 'must be the name of a trust domain'), trustDomain)
      .default({}),
    people: z
      .record(
        z.string(),
        orNothing(
          z.strictObject({ email: z.email('must be an address').optional(), identities: list(identity).optional() }),
        ),
      )
      .default({}),
    teams: z
      .record(name, orNothing(z.strictObject({ display_name: text.optional(), members: list(z.string()).optional() })))
      .default({}),
    resources: z.record(z.string(), resourceSchema).default({}),
    roles: z.record(name, roleSchema).default({}),
    agents: z.record(name, agentSchema).default({}),
    policies: z.record(name, policy).default({}),
    trusted_issuers: z.record(z.string(), issuerSchema).default({}),
    mandates: z.record(name, mandateSchema).default({}),
  },
  'must hold trust_domains, people, teams, resources, roles, agents, policies, trusted_issuers or mandates',
);

export type Fleet = z.output<typeof fleetSchema>;
export type FleetAgent = Fleet['agents'][string];
export type FleetKey = NonNullable<FleetAgent['keys']>[number];
export type FleetCredential = NonNullable<FleetAgent['credentials']>[number];
