/** What a resource is in the words of the admin API: what may be written, and what is shown. */
import { compareRules, jwsAlgorithms, operationType } from '@bailiwick/protocol';
import { z } from 'zod';
import { isLoopback } from '../config-values.ts';
import { rfc3339 } from '../lib/clock.ts';
import { defaultFeedTerms, type Resource } from '../resources/resource.ts';
import { flag, idOf, line, oneOf, scopeName, setOf, shownTime, wholeNumber } from './fields.ts';
import { common } from './shapes.ts';

const identifierMessage =
  'must be an absolute https URL (http on this machine alone) in its normal form, without user name, query or fragment, such as https://tickets.example.com/api';

export const resourceIdentifier = line(512, 1)
  .refine(isIdentifier, identifierMessage)
  .meta({
    description:
      'What tokens name as `aud` and token requests as `resource` (RFC 8707). Unique in the whole deployment, and never changed.',
    examples: ['https://tickets.example.com/api'],
  });

const scope = z.strictObject({ name: scopeName, description: line(500).default('') });

const operation = z.strictObject({
  name: line(100, 1),
  method: z
    .string({ error: 'must be an HTTP method in capitals' })
    .regex(/^[A-Z][A-Z-]{0,31}$/, 'must be an HTTP method in capitals')
    .optional(),
  path: line(1000, 1)
    .optional()
    .meta({ description: 'A template below the identifier: /tickets/{id}, /files/{rest*}.' }),
  tool: line(200, 1).optional().meta({ description: 'The name of an MCP tool, instead of method and path.' }),
  scope: setOf(scopeName, 50, 'scopes').meta({ description: 'All of them are needed.' }),
  details: z
    .record(z.string(), z.unknown(), { error: 'must be a JSON object' })
    .optional()
    .meta({
      description:
        'What a token must have been granted besides (RFC 9396): a detail of a registered type, in which "{name}" as a whole value stands for a parameter of the path or an argument of the tool.',
      examples: [{ type: 'transfer', account: '{account}' }],
    }),
  sensitivity: oneOf(['low', 'medium', 'high']).default('medium'),
  definition: z
    .string({ error: 'must be a SHA-256 in base64url' })
    .regex(/^[A-Za-z0-9_-]{43}$/, 'must be a SHA-256 in base64url')
    .optional()
    .meta({
      description:
        'Of a tool: the hash of all that its server said of it when somebody last looked. Its guard hides and refuses a tool that says something else.',
    }),
});

const typeMessage =
  'must be 1 to 100 lowercase letters, digits, dots, hyphens or underscores, with a letter or digit at both ends, or a URI';

const detailsType = z.strictObject({
  type: z
    .string({ error: typeMessage })
    .max(200, typeMessage)
    .regex(/^(?:[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?|[a-z][a-z0-9+.-]*:[\x21\x23-\x5b\x5d-\x7e]+)$/, typeMessage)
    .refine((type) => type !== operationType, `must not be ${operationType}, which every resource has`),
  description: line(500).default('').meta({ description: 'What a person reads when they are asked for it.' }),
  schema: z.record(z.string(), z.unknown(), { error: 'must be a JSON Schema of type object' }).meta({
    description:
      'A JSON Schema (a bounded part of draft 2020-12) of one detail. Members that it does not name are refused, unless it says additionalProperties.',
  }),
  compare: z.record(z.string(), oneOf(compareRules), { error: 'must be an object of rules' }).default({}).meta({
    description:
      'How each member of what is asked must stand to what is given: equal (unless said otherwise), subset of a list, at_most or at_least a number, prefix: a path below it.',
  }),
});

export const writableResource = {
  name: line(200, 1),
  scopes: z
    .array(scope, { error: 'must be a list of scopes' })
    .max(500, 'must be at most 500 scopes')
    .refine((all) => distinct(all.map(({ name }) => name)), 'must name each scope once')
    .default([]),
  operations: z
    .array(operation, { error: 'must be a list of operations' })
    .max(1000, 'must be at most 1000 operations')
    .refine((all) => distinct(all.map(({ name }) => name)), 'must have a name of its own for each operation')
    .refine((all) => distinct(all.flatMap(({ tool }) => tool ?? [])), 'must name each tool once')
    .default([])
    .meta({ description: 'What can be done, and the scopes that it takes. What is not listed is refused.' }),
  details_types: z
    .array(detailsType, { error: 'must be a list of types' })
    .max(20, 'must be at most 20 types')
    .refine((all) => distinct(all.map(({ type }) => type)), 'must name each type once')
    .default([])
    .meta({ description: 'Types of authorization_details (RFC 9396) that it understands, beside operation.' }),
  token: z
    .strictObject({
      alg: oneOf(jwsAlgorithms).default('ES256'),
      // other types mean other things to other verifiers: we sign none that could be mistaken for something else
      typ: oneOf(['at+jwt', 'JWT']).default('at+jwt'),
      lifetime_seconds: wholeNumber(1, 900).optional(),
      audience: line(512, 1)
        .optional()
        .meta({ description: 'The `aud`, where a verifier insists on another than the identifier.' }),
      dangerously_bearer: flag
        .default(false)
        .meta({ description: 'Tokens are bound to no key: who finds one can use it.' }),
      status_list: flag.optional().meta({
        description:
          'Tokens name their place in a Token Status List, for verifiers that know neither the feed nor introspection.',
      }),
      transactions: setOf(idOf('resource'), 50, 'resources').optional().meta({
        description:
          'The resources inside of the trust domain that a transaction may come to which begins with such a token: the agents of served_by may exchange it for a Txn-Token for them.',
      }),
    })
    .default({ alg: 'ES256', typ: 'at+jwt', dangerously_bearer: false }),
  feed: z
    .strictObject({
      lease_seconds: z
        .number({ error: 'must be a number from 0.5 to 30' })
        .min(0.5, 'must be a number from 0.5 to 30')
        .max(30, 'must be a number from 0.5 to 30')
        .default(defaultFeedTerms.lease_seconds)
        .meta({
          description: 'How long a guard may trust what it heard last of the feed: as late may a revocation be.',
        }),
      when_lost: oneOf(['introspect', 'refuse'])
        .default(defaultFeedTerms.when_lost)
        .meta({ description: 'What a guard does that has lost the feed: ask about each token, or refuse all.' }),
    })
    .default(defaultFeedTerms)
    .meta({ description: 'How its guards hear of revocations.' }),
  served_by: setOf(idOf('agent'), 100, 'agents').default([]).meta({
    description:
      'The agents that answer there. They may exchange a token that they are called with (RFC 8693), to go on in the name of whoever called.',
  }),
};

export const shownResource = z.strictObject({
  ...common('resource'),
  identifier: z.string(),
  name: z.string(),
  scopes: z.array(z.strictObject({ name: z.string(), description: z.string() })),
  operations: z.array(
    z.strictObject({
      name: z.string(),
      method: z.string().optional(),
      path: z.string().optional(),
      tool: z.string().optional(),
      scope: z.array(z.string()),
      sensitivity: oneOf(['low', 'medium', 'high']),
      definition: z.string().optional(),
      details: z.record(z.string(), z.unknown()).optional(),
    }),
  ),
  details_types: z.array(
    z.strictObject({
      type: z.string(),
      description: z.string(),
      schema: z.record(z.string(), z.unknown()),
      compare: z.record(z.string(), oneOf(compareRules)),
    }),
  ),
  token: z.strictObject({
    alg: oneOf(jwsAlgorithms),
    typ: z.string(),
    lifetime_seconds: z.number().optional(),
    audience: z.string().optional(),
    dangerously_bearer: z.boolean(),
    status_list: z.boolean().optional(),
    transactions: z.array(z.string()).optional(),
  }),
  feed: z.strictObject({ lease_seconds: z.number(), when_lost: oneOf(['introspect', 'refuse']) }),
  served_by: z.array(z.string()),
  system: z.boolean().meta({ description: 'The server’s own: usable from every organization, changed by none.' }),
  status: oneOf(['active', 'suspended', 'retired']),
  updated_at: shownTime,
});

export const showResource = (resource: Resource): z.output<typeof shownResource> => ({
  id: resource.id,
  organization: resource.org,
  identifier: resource.identifier,
  name: resource.name,
  scopes: resource.scopes,
  operations: resource.operations,
  details_types: resource.detailsTypes,
  token: resource.token,
  feed: resource.feed,
  served_by: resource.servedBy,
  system: resource.system !== undefined,
  status: resource.status,
  created_at: rfc3339(resource.createdAt),
  updated_at: rfc3339(resource.updatedAt),
});

/** @see RFC 8707 §2 */
function isIdentifier(text: string): boolean {
  const url = URL.parse(text);
  if (!url || url.username || url.password || /[?#\\]/.test(text)) return false;
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) return false;
  // compared as it is written, so there must be one way to write it
  return url.href === text || (url.pathname === '/' && url.href === `${text}/`);
}

const distinct = (all: readonly string[]) => new Set(all).size === all.length;
