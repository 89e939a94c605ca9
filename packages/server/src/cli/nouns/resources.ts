import type { DetailsType, Operation } from '@bailiwick/protocol';
import { type Api, openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { findAgent, findResource } from '../names.ts';
import { fields, show, table } from '../output.ts';
import type { Resource } from '../registry.ts';
import { inOrder } from '../values.ts';
import { resourceBody, resourceOptions } from './resource-options.ts';
import { statusStyle } from './status.ts';

const resourceArgument = { name: 'resource', description: 'The name, identifier or id of a resource.' } as const;

const list = command({
  name: 'resources list',
  summary: 'List the APIs and MCP servers that tokens are for.',
  examples: [{ command: 'bailiwick resources list', does: 'All of them' }],
  async run(context) {
    const items = await openApi(context).list<Resource>('/resources');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'IDENTIFIER', value: ({ identifier }) => identifier },
          { title: 'OPERATIONS', value: ({ operations, system }) => (system ? 'built in' : String(operations.length)) },
          {
            title: 'TOKENS',
            value: ({ token }) => `${token.alg}${token.dangerously_bearer ? ', bearer' : ''}`,
            style: ({ token }) => (token.dangerously_bearer ? 'yellow' : undefined),
          },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No resources yet. `bailiwick resources create --help` shows how to register one.',
      ),
    );
  },
});

const showOne = command({
  name: 'resources show',
  summary: 'Show a resource with its scopes and operations.',
  arguments: [resourceArgument],
  examples: [{ command: 'bailiwick resources show tickets', does: 'What it offers, and what each part needs' }],
  async run(context, [name]) {
    const resource = await findResource(openApi(context), name);
    show(context, resource, () => describe(context, resource));
  },
});

const create = command({
  name: 'resources create',
  summary: 'Register an API or MCP server.',
  description: 'What no operation lists is refused by its guard.',
  arguments: [
    {
      name: 'identifier',
      optional: true,
      description: 'The URL that all its paths begin with. Not needed with --file.',
    },
  ],
  options: { name: { value: 'NAME', description: 'What people call it.' }, ...resourceOptions },
  examples: [
    {
      command:
        'bailiwick resources create http://localhost:3000 --name tickets \\\n' +
        "  --operation 'GET /tickets tickets:read low' --operation 'POST /tickets tickets:write medium'",
      does: 'An API with two operations',
    },
    { command: 'bailiwick resources create --name tickets -f tickets.yaml', does: 'The same from a file' },
  ],
  async run(context, [identifier], options) {
    const body = resourceBody(context, options);
    if (identifier !== undefined && body.identifier === undefined) body.identifier = identifier;
    if (body.identifier === undefined) {
      throw new CliError(
        'usage',
        '"resources create" needs IDENTIFIER: the URL that all paths of the API begin with.',
        {
          hint: 'See `bailiwick resources create --help`.',
        },
      );
    }
    const url = URL.parse(String(body.identifier));
    if (url === null)
      throw new CliError(
        'usage',
        `"${body.identifier}" is not a URL: the identifier is one, such as http://localhost:3000.`,
      );
    const name = options.name ?? url.hostname;
    const api = openApi(context);
    const namesake = (await api.list<Resource>('/resources', { name })).find(({ status }) => status !== 'retired');
    if (namesake !== undefined) {
      throw new CliError(
        'conflict',
        `A resource called ${name} exists already (${namesake.id}, ${namesake.identifier}).`,
        {
          hint: `Give this one another name with --name, or change that one with \`bailiwick resources update ${namesake.id}\`.`,
        },
      );
    }
    const resource = await api.create<Resource>('/resources', { name, ...body, ...(await referred(api, body)) });
    show(context, resource, () => `Registered ${resource.name} (${resource.id}).\n\n${describe(context, resource)}`);
  },
});

const update = command({
  name: 'resources update',
  summary: 'Change what is registered of a resource.',
  description:
    'Only what is named changes. --operation adds one, or replaces that with the same method and path; --file replaces all of what it names.',
  arguments: [resourceArgument],
  options: {
    name: { value: 'NAME', description: 'What people call it.' },
    ...resourceOptions,
    'remove-operation': {
      value: 'NAME',
      many: true,
      description: "The name of an operation to take away: 'GET /tickets'.",
    },
    'served-by': {
      value: 'AGENT',
      many: true,
      description: 'An agent that answers there: it may go on for whoever calls it, with the token it was called with.',
    },
    'not-served-by': { value: 'AGENT', many: true, description: 'An agent that answers there no more.' },
    'transactions-to': {
      value: 'RESOURCE',
      many: true,
      description: 'A resource inside of the trust domain that takes transaction tokens of calls that begin here.',
    },
    'no-transactions-to': { value: 'RESOURCE', many: true, description: 'One that takes them no more.' },
  },
  examples: [
    {
      command: "bailiwick resources update tickets --operation 'DELETE /tickets/{id} tickets:delete high'",
      does: 'One more operation',
    },
    { command: "bailiwick resources update tickets --remove-operation 'DELETE /tickets/{id}'", does: 'One less' },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    const before = await findResource(api, name);
    const { identifier, ...body } = resourceBody(context, options, before);
    if (identifier !== undefined && identifier !== before.identifier) {
      throw new CliError('usage', `The identifier of ${before.name} is ${before.identifier} and never changes.`, {
        hint: 'Register the other one as a resource of its own with `bailiwick resources create`.',
      });
    }
    if (options.name !== undefined) body.name = options.name;
    const removed = options['remove-operation'];
    for (const operation of removed) {
      if (before.operations.some((one) => one.name === operation)) continue;
      throw new CliError('not_found', `${before.name} has no operation "${operation}".`, {
        hint: `It has: ${before.operations.map((one) => one.name).join(', ') || 'none'}.`,
      });
    }
    if (removed.length > 0) {
      const operations = (body.operations as Operation[] | undefined) ?? before.operations;
      body.operations = operations.filter((operation) => !removed.includes(operation.name));
    }
    Object.assign(body, await referred(api, body, { before, ...options }));
    if (Object.keys(body).length === 0) {
      throw new CliError('usage', 'Nothing to change was named.', { hint: 'See `bailiwick resources update --help`.' });
    }
    const after = await api.patch<Resource>(`/resources/${before.id}`, body);
    show(context, after, () => `Changed ${after.name} (${after.id}).\n\n${describe(context, after)}`);
  },
});

/**
 * Ids of the agents that answer there, and of the resources that its transactions may come to, from now on, where something was said of them: what the
 * file names, else what is there, and what options name.
 */
async function referred(
  api: Api,
  file: { served_by?: string[]; token?: { transactions?: string[] } },
  options?: { before: Resource } & Record<
    'served-by' | 'not-served-by' | 'transactions-to' | 'no-transactions-to',
    string[]
  >,
): Promise<{ served_by?: string[]; token?: object }> {
  const agent = async (name: string) => (await findAgent(api, name)).id;
  const servedBy = await listNow(agent, {
    there: options?.before.served_by,
    file: file.served_by,
    more: options?.['served-by'],
    less: options?.['not-served-by'],
  });
  const resource = async (name: string) => (await findResource(api, name)).id;
  const transactions = await listNow(resource, {
    there: options?.before.token.transactions,
    file: file.token?.transactions,
    more: options?.['transactions-to'],
    less: options?.['no-transactions-to'],
  });
  return {
    ...(servedBy && { served_by: servedBy }),
    ...(transactions && { token: { ...file.token, transactions } }),
  };
}

type Names = readonly string[] | undefined;

/** Undefined where nobody said anything of it. */
async function listNow(
  idOf: (name: string) => Promise<string>,
  { there = [], file, more = [], less = [] }: { there: Names; file: Names; more: Names; less: Names },
): Promise<string[] | undefined> {
  if (file === undefined && more.length === 0 && less.length === 0) return undefined;
  const gone = await inOrder(less, idOf);
  const named = await inOrder([...(file ?? []), ...more], idOf);
  return [...new Set([...(file ? [] : there), ...named])].filter((id) => !gone.includes(id));
}

const retire = command({
  name: 'resources retire',
  summary: 'End a resource for good. No token is issued for it any more.',
  arguments: [resourceArgument],
  options: { yes, reason: { value: 'TEXT', description: 'Why, for the log.' } },
  examples: [{ command: 'bailiwick resources retire tickets --yes', does: 'End it without being asked' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const resource = await findResource(api, name);
    await confirm(
      context.io,
      `This ends ${resource.name} (${resource.identifier}) and its tokens for good.`,
      options.yes,
    );
    const after = await api.post<Resource>(`/resources/${resource.id}/retire`, { reason: options.reason });
    show(context, after, () => `${after.name} is retired.`);
  },
});

export const resourceCommands = [list, showOne, create, update, retire];

function describe(context: Context, resource: Resource): string {
  const head = fields(context, [
    ['name', resource.name],
    ['identifier', resource.identifier],
    ['id', resource.id],
    ['status', resource.status],
    ['tokens', tokenWords(resource)],
    ['feed', `leases of ${resource.feed.lease_seconds} s; a guard that has lost it: ${lostWords(resource)}`],
    ...(resource.served_by.length > 0 ? [['served by', resource.served_by.join('\n')] as const] : []),
    ...(resource.token.transactions?.length
      ? [['transactions to', resource.token.transactions.join('\n')] as const]
      : []),
    [
      'scopes',
      resource.scopes.map((one) => (one.description ? `${one.name}: ${one.description}` : one.name)).join('\n'),
    ],
    ...(resource.details_types.length > 0
      ? [['details', resource.details_types.map(typeWords).join('\n')] as const]
      : []),
  ]);
  const operations = table(
    context,
    resource.operations,
    [
      {
        title: 'OPERATION',
        value: (one) => (one.tool === undefined ? `${one.method} ${one.path}` : `tool:${one.tool}`),
      },
      { title: 'NEEDS', value: needs },
      { title: 'SENSITIVITY', value: (one) => one.sensitivity },
    ],
    resource.system ? '' : 'No operations: its guard refuses everything.',
  );
  return operations === '' ? head : `${head}\n\n${operations}`;
}

/** `transfer: Move money (amount at_most, account equal)` */
function typeWords({ type, description, compare }: DetailsType): string {
  const rules = Object.entries(compare).map(([member, rule]) => `${member} ${rule}`);
  return `${type}${description ? `: ${description}` : ''}${rules.length > 0 ? ` (${rules.join(', ')})` : ''}`;
}

const needs = ({ scope, details }: Operation) =>
  details === undefined ? scope.join(' ') : `${scope.join(' ')} and ${JSON.stringify(details)}`;

const lostWords = ({ feed }: Resource) => (feed.when_lost === 'refuse' ? 'refuses all' : 'asks about each token');

function tokenWords({ token }: Resource): string {
  return [
    token.alg,
    token.typ,
    token.lifetime_seconds === undefined ? undefined : `${token.lifetime_seconds} s`,
    token.audience === undefined ? undefined : `aud ${token.audience}`,
    token.dangerously_bearer ? 'bearer: bound to no key' : 'bound to the key of the agent (DPoP)',
    token.status_list ? 'with a status list' : undefined,
  ]
    .filter((part) => part !== undefined)
    .join(', ');
}
