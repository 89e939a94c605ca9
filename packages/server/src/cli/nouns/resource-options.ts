/** A resource as options and files describe it, in the words of the admin API. */
import type { Operation } from '@bailiwick/protocol';
import { resourceSchema } from '../apply/fleet.ts';
import type { Context } from '../command.ts';
import { CliError } from '../errors.ts';
import { keepingDefinitions, operationFromFlag } from '../operation.ts';
import type { Resource } from '../registry.ts';
import { pair, wholeNumber } from '../values.ts';
import { readYamlFile } from '../yaml-file.ts';

export const resourceOptions = {
  file: {
    value: 'FILE',
    short: 'f',
    description: 'Take the resource from a YAML file, as under `resources:` in a fleet file.',
  },
  operation: {
    value: 'LINE',
    many: true,
    description:
      "An operation: 'GET /tickets/{id} tickets:read low', or 'tool:close tickets:write high' for an MCP tool.",
  },
  scope: {
    value: 'SCOPE=TEXT',
    many: true,
    description: 'What a scope allows, in words for people. Scopes of operations need not be named again.',
  },
  alg: { value: 'ALG', description: 'The algorithm of its tokens: ES256 (default), EdDSA, PS256 or RS256.' },
  lifetime: { value: 'SECONDS', description: 'How long its tokens live, at most 900.' },
  audience: {
    value: 'AUD',
    description: 'The `aud` of its tokens, where its verifier insists on another than the identifier.',
  },
  'status-list': {
    description:
      'Its tokens name their place in a Token Status List, for verifiers that neither follow a feed nor ask.',
  },
  'feed-lease-seconds': {
    value: 'SECONDS',
    description: 'How long its guards may trust what they heard last of revocations: 0.5 to 30, 2 by default.',
  },
  'feed-when-lost': {
    value: 'WHAT',
    description: 'What a guard does that has lost the feed: introspect (default), or refuse all.',
  },
  'dangerously-bearer': { description: 'Its tokens are bound to no key: whoever finds one can use it.' },
} as const;

export interface ResourceOptions {
  file: string | undefined;
  operation: string[];
  scope: string[];
  alg: string | undefined;
  lifetime: string | undefined;
  audience: string | undefined;
  'status-list': boolean;
  'feed-lease-seconds': string | undefined;
  'feed-when-lost': string | undefined;
  'dangerously-bearer': boolean;
}

/**
 * What the options say, in the words of the admin API. With `before`, operations and scopes are added to what is there. Who answers there stands
 * as the file names it: only the server knows ids.
 */
export function resourceBody(context: Context, options: ResourceOptions, before?: Resource): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  if (options.file !== undefined)
    Object.assign(body, resourceFromFile(readYamlFile(context, options.file, resourceSchema)));
  const token = {
    ...(options.alg === undefined ? {} : { alg: options.alg }),
    ...(options.lifetime === undefined
      ? {}
      : { lifetime_seconds: wholeNumber('--lifetime', options.lifetime, { most: 900 }) }),
    ...(options.audience === undefined ? {} : { audience: options.audience }),
    ...(options['status-list'] ? { status_list: true } : {}),
    ...(options['dangerously-bearer'] ? { dangerously_bearer: true } : {}),
  };
  if (Object.keys(token).length > 0) body.token = { ...(body.token as object | undefined), ...token };
  const feed = feedOptions(options);
  if (Object.keys(feed).length > 0) body.feed = { ...(body.feed as object | undefined), ...feed };
  const there = (body.operations as Operation[] | undefined) ?? before?.operations ?? [];
  const added = options.operation.map((text) => keepingDetails(operationFromFlag(text), there));
  if (added.length > 0) {
    body.operations = [...there.filter((one) => !added.some((operation) => samePlace(one, operation))), ...added];
  }
  if (body.operations !== undefined && before !== undefined) {
    body.operations = keepingDefinitions(body.operations as Operation[], before.operations);
  }
  const described = options.scope.map((text) =>
    pair('--scope', text, 'SCOPE=TEXT, such as "tickets:read=See tickets"'),
  );
  if (described.length > 0 || added.length > 0) {
    const there = (body.scopes as Resource['scopes'] | undefined) ?? before?.scopes ?? [];
    const scopes = new Map(there.map((one) => [one.name, one.description]));
    for (const [name, description] of described) scopes.set(name, description);
    for (const name of added.flatMap((operation) => operation.scope)) if (!scopes.has(name)) scopes.set(name, '');
    body.scopes = [...scopes].map(([name, description]) => ({ name, description }));
  }
  return body;
}

function feedOptions(options: ResourceOptions): Record<string, unknown> {
  const { 'feed-lease-seconds': seconds, 'feed-when-lost': whenLost } = options;
  if (seconds !== undefined && !(/^\d+(\.\d+)?$/.test(seconds) && Number(seconds) >= 0.5 && Number(seconds) <= 30)) {
    throw new CliError('usage', `--feed-lease-seconds must be a number from 0.5 to 30, not "${seconds}".`);
  }
  if (whenLost !== undefined && !['introspect', 'refuse'].includes(whenLost)) {
    throw new CliError('usage', `--feed-when-lost must be "introspect" or "refuse", not "${whenLost}".`);
  }
  return {
    ...(seconds !== undefined && { lease_seconds: Number(seconds) }),
    ...(whenLost !== undefined && { when_lost: whenLost }),
  };
}

/** A line has no place for details: an operation that takes some goes on taking them. */
function keepingDetails(operation: Operation, there: readonly Operation[]): Operation {
  const details = there.find((one) => samePlace(one, operation))?.details;
  return details === undefined ? operation : { ...operation, details };
}

const samePlace = (a: Operation, b: Operation) => a.method === b.method && a.path === b.path && a.tool === b.tool;

/** A resource of a YAML file in the words of the admin API. */
export function resourceFromFile(wanted: {
  identifier: string;
  scopes?: Record<string, string> | undefined;
  operations?: Operation[] | undefined;
  details_types?: Record<string, object> | undefined;
  token?: object | undefined;
  feed?: object | undefined;
  served_by?: readonly string[] | undefined;
}): Record<string, unknown> {
  const scopes = new Map(Object.entries(wanted.scopes ?? {}));
  for (const name of (wanted.operations ?? []).flatMap((one) => one.scope)) if (!scopes.has(name)) scopes.set(name, '');
  const said = wanted.scopes !== undefined || wanted.operations !== undefined;
  const body = {
    identifier: wanted.identifier,
    scopes: said ? [...scopes].map(([name, description]) => ({ name, description })) : undefined,
    operations: wanted.operations,
    details_types:
      wanted.details_types && Object.entries(wanted.details_types).map(([type, said]) => ({ type, ...said })),
    token: wanted.token,
    feed: wanted.feed,
    served_by: wanted.served_by,
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}
