import { agentKinds } from '../../agents/agent.ts';
import { type Api, openApi } from '../api.ts';
import { command, type OptionValues, yes } from '../command.ts';
import { contextFrom, contextInWords, contextOptions } from '../context-options.ts';
import { described } from '../credential-words.ts';
import { CliError } from '../errors.ts';
import { grantOptions, grantsFrom, grantsInWords } from '../grant-types.ts';
import { confirm } from '../io.ts';
import { keyFromOptions, keyOptions } from '../key-options.ts';
import { findAgent, findOwner, findResource, findRole, namer, ownerNamer } from '../names.ts';
import { fields, shortTime, show, table } from '../output.ts';
import type { Agent, Credential, Resource, Role, Team } from '../registry.ts';
import { inOrder, wholeNumber } from '../values.ts';
import { statusInWords } from './agent-status.ts';
import { listCredentials } from './credentials.ts';
import { hasEnrolled, waysIn } from './enrolment-token.ts';
import { type TemplateValues, template, templateInWords, templateOptions } from './instance-template.ts';
import { halfDone, keyIsFree, stillMissing } from './new-agent.ts';
import { statusStyle } from './status.ts';

const agentArgument = { name: 'agent', description: 'The name or id of an agent.' } as const;

const agentOptions = {
  owner: { value: 'OWNER', description: 'The team or person who answers for it: team:support, person:ada, or an id.' },
  purpose: { value: 'TEXT', description: 'What it is for, in a sentence.' },
  environment: { value: 'NAME', description: 'Where it runs, such as production.' },
  expires: { value: 'TIME', description: 'When it ends by itself, such as 2030-01-31T12:00:00Z.' },
  resource: {
    value: 'RESOURCE[=SCOPE,…]',
    many: true,
    description:
      'A resource that it may ask tokens for, and the scopes that it gets when it names none (unless said: what its roles ' +
      'give there now). The first is meant when it names no resource.',
  },
  'tokens-per-minute': { value: 'NUMBER', description: 'How many tokens it may ask for in a minute.' },
  ...grantOptions,
  ...contextOptions,
  ...templateOptions,
} as const;

const list = command({
  name: 'agents list',
  summary: 'List agents.',
  options: {
    status: { value: 'STATUS', description: 'Only active, suspended or retired ones.' },
    owner: { value: 'OWNER', description: 'Only those that this team or person answers for.' },
  },
  examples: [
    { command: 'bailiwick agents list', does: 'Everything that acts here' },
    { command: 'bailiwick agents list --status suspended --json', does: 'What is suspended, for a program' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const owner = options.owner === undefined ? undefined : (await findOwner(api, options.owner)).id;
    const items = await api.list<Agent>('/agents', { status: options.status, owner });
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = await ownerNamer(api);
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'KIND', value: ({ kind }) => kind },
          { title: 'OWNER', value: (agent) => nameOf(agent.owner) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No agents yet. `bailiwick agents create --help` shows how to make one.',
      ),
    );
  },
});

const showOne = command({
  name: 'agents show',
  summary: 'Show an agent, its roles and its credentials.',
  arguments: [agentArgument],
  examples: [{ command: 'bailiwick agents show desk', does: 'Who it is, what it may do, what it proves itself with' }],
  async run(context, [name]) {
    const api = openApi(context);
    const agent = await findAgent(api, name);
    const credentials = await listCredentials(api, { agent: agent.id });
    if (context.globals.json) return show(context, { ...agent, credentials }, () => '');
    const ownerOf = await ownerNamer(api);
    const resourceOf = namer(await api.list<Resource>('/resources'));
    const shown = fields(context, [
      ['name', agent.name],
      ['id', agent.id],
      ['subject', agent.subject],
      ['status', await statusInWords(api, agent)],
      ['kind', agent.kind],
      ['owner', ownerOf(agent.owner)],
      ['purpose', agent.purpose],
      ['environment', agent.environment],
      ['expires', shortTime(agent.expires_at)],
      ['roles', agent.roles.map(({ name: role }) => role).join('\n') || 'none: it may do nothing'],
      ['grants', grantsInWords(agent.grants)],
      [
        'resources',
        agent.resources
          .map(
            ({ resource, scope }) => `${resourceOf(resource)}: ${scope.join(' ') || 'no scopes unless it names them'}`,
          )
          .join('\n') || 'none: it can get no token',
      ],
      [
        'credentials',
        credentials.map((one) => `${one.id}  ${described(one)}${until(one)}  ${one.label}`.trimEnd()).join('\n') ||
          ((await hasEnrolled(api, agent.id))
            ? 'none of its own: its instances enrol with tokens'
            : `none: it cannot prove who it is yet\n${waysIn(agent.name)}`),
      ],
      ['tokens', contextInWords(agent.context)],
      ['instances', templateInWords(agent.instances)],
      ['created', shortTime(agent.created_at)],
    ]);
    context.io.out(`${shown}\n`);
  },
});

const create = command({
  name: 'agents create',
  summary: 'Register an agent, and make its key here.',
  description:
    'With --key-out the key pair is made on this machine: the private half goes into that file and nowhere else, the public half to ' +
    'the server. With --key the agent has a key already, and its public half is taken from the file.',
  arguments: [{ name: 'name', description: 'Its name: lowercase letters, digits, dots, hyphens. Never used again.' }],
  options: {
    ...agentOptions,
    kind: { value: 'KIND', description: `What it is: ${agentKinds.join(', ')}. ai_agent unless said otherwise.` },
    role: { value: 'ROLE', many: true, description: 'A role to give it.' },
    ...keyOptions,
  },
  examples: [
    {
      command:
        'bailiwick agents create desk --owner team:support --role ticket-reader --resource tickets --key-out desk.json',
      does: 'An agent that may read tickets; desk.json is what it runs with',
    },
    {
      command: 'bailiwick agents create nightly --kind workload --owner person:ada --key nightly.pub.json',
      does: 'A workload that has made its own key',
    },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    if (options.owner === undefined) throw await ownerNeeded(api);
    const roles = await inOrder(options.role, (role) => findRole(api, role));
    const body = { name, kind: options.kind ?? 'ai_agent', ...(await agentBody(api, options, roles)) };
    const key = await keyFromOptions(context, options);
    if (options.key !== undefined && key.jwk !== undefined) await keyIsFree(api, key.jwk);
    const agent = await api.create<Agent>('/agents', body).catch(key.abandon);
    key.keep({ issuer: api.identity.issuer, client_id: agent.id });
    if (key.jwk !== undefined) {
      const add = `bailiwick credentials add ${name} --key ${key.file ?? options.key}`;
      await api.post('/credentials', { agent: agent.id, jwk: key.jwk }).catch(halfDone(name, 'without a key', add));
    }
    for (const role of roles) {
      const grant = `bailiwick roles grant ${role.name} ${name}`;
      await api
        .put(`/agents/${agent.id}/roles/${role.id}`, undefined)
        .catch(halfDone(name, `without the role ${role.name}`, grant));
    }
    const after = await api.get<Agent>(`/agents/${agent.id}`);
    show(context, { ...after, ...(key.file === undefined ? {} : { key_file: key.file }) }, () =>
      [
        `Registered ${after.name} (${after.id}).`,
        ...(roles.length > 0 ? [`It holds: ${roles.map((role) => role.name).join(', ')}.`] : []),
        ...stillMissing(after),
        ...key.words,
        ...(key.jwk === undefined ? [`It has no key yet: ${waysIn(after.name)}.`] : []),
      ].join('\n'),
    );
  },
});

const update = command({
  name: 'agents update',
  summary: 'Change what is registered of an agent.',
  description:
    'Only what is named changes. --resource replaces the whole list of resources. Roles are given with `roles grant`.',
  arguments: [agentArgument],
  options: agentOptions,
  examples: [
    { command: 'bailiwick agents update desk --owner person:ada', does: 'Somebody else answers for it now' },
    { command: 'bailiwick agents update desk --expires 2030-01-31T12:00:00Z', does: 'It ends by itself' },
    {
      command: 'bailiwick agents update desk --ip 10.0.0.0/8 --hours "mon-fri 08:00-18:00 Europe/Berlin"',
      does: 'Its tokens work in the office, at office hours',
    },
    { command: 'bailiwick agents update desk --ip any', does: 'From everywhere again' },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    const agent = await findAgent(api, name);
    const roles = await inOrder(options.resource.length === 0 ? [] : agent.roles, ({ id }) => findRole(api, id));
    const body = await agentBody(api, options, roles);
    if (Object.keys(body).length === 0) {
      throw new CliError('usage', 'Nothing to change was named.', { hint: 'See `bailiwick agents update --help`.' });
    }
    const after = await api.patch<Agent>(`/agents/${agent.id}`, body);
    show(context, after, () => `Changed ${after.name} (${after.id}).`);
  },
});

const suspend = command({
  name: 'agents suspend',
  summary: 'Stop an agent at once, until it is resumed.',
  description:
    'It gets no more tokens, and those it has end, as do its instances. Its credentials prove nothing until it is resumed. It asks ' +
    'nothing: this is the brake.',
  arguments: [agentArgument],
  options: { reason: { value: 'TEXT', description: 'Why, for the log.' } },
  examples: [{ command: 'bailiwick agents suspend desk --reason "behaves oddly"', does: 'Stop it now' }],
  async run(context, [name], { reason }) {
    const api = openApi(context);
    const agent = await findAgent(api, name);
    const after = await api.post<Agent>(`/agents/${agent.id}/suspend`, { reason });
    show(
      context,
      after,
      () =>
        `${after.name} is suspended: its tokens and instances have ended, and its credentials prove nothing until ` +
        `\`bailiwick agents resume ${after.name}\`.`,
    );
  },
});

const resume = command({
  name: 'agents resume',
  summary: 'Let a suspended agent act again.',
  description: 'Its credentials work again. Tokens and instances from before stay ended; it gets new ones.',
  arguments: [agentArgument],
  examples: [{ command: 'bailiwick agents resume desk', does: 'Let it act again' }],
  async run(context, [name]) {
    const api = openApi(context);
    const agent = await findAgent(api, name);
    const after = await api.post<Agent>(`/agents/${agent.id}/resume`);
    show(context, after, () => `${after.name} may act again.`);
  },
});

const retire = command({
  name: 'agents retire',
  summary: 'End an agent for good. Its name is never used again.',
  arguments: [agentArgument],
  options: { yes, reason: { value: 'TEXT', description: 'Why, for the log.' } },
  examples: [{ command: 'bailiwick agents retire desk --yes', does: 'End it without being asked' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const agent = await findAgent(api, name);
    await confirm(
      context.io,
      `This ends ${agent.name} (${agent.id}) for good, with its tokens, instances and credentials, and its name is never used again.`,
      options.yes,
    );
    const after = await api.post<Agent>(`/agents/${agent.id}/retire`, { reason: options.reason });
    show(context, after, () => `${after.name} is retired.`);
  },
});

const until = ({ expires_at }: Credential) => (expires_at === undefined ? '' : `, until ${shortTime(expires_at)}`);

export const agentCommands = [list, showOne, create, update, suspend, resume, retire];

async function agentBody(
  api: Api,
  options: {
    owner: string | undefined;
    purpose: string | undefined;
    environment: string | undefined;
    expires: string | undefined;
    resource: string[];
    'tokens-per-minute': string | undefined;
  } & OptionValues<typeof grantOptions & typeof contextOptions> &
    TemplateValues,
  roles: readonly Role[],
): Promise<Record<string, unknown>> {
  const holding = options.resource.length > 0 ? await withInherited(api, roles) : [];
  const resources = await inOrder(options.resource, async (text) => {
    // what follows an equals sign is scopes, unless it belongs to an identifier
    const [, name = text, scopes] = /^(.+?)=([^/]*)$/.exec(text) ?? [];
    const { id } = await findResource(api, name);
    return { resource: id, scope: scopes === undefined ? givenBy(holding, id) : scopes.split(',').filter(Boolean) };
  });
  const perMinute = options['tokens-per-minute'];
  const body = {
    owner: options.owner === undefined ? undefined : (await findOwner(api, options.owner)).id,
    purpose: options.purpose,
    environment: options.environment,
    expires_at: options.expires,
    grants: grantsFrom(options),
    resources:
      resources.length === 0
        ? undefined
        : resources.map(({ resource, scope }, index) => ({ resource, default: index === 0, scope })),
    limits: perMinute === undefined ? undefined : { tokens_per_minute: wholeNumber('--tokens-per-minute', perMinute) },
    context: contextFrom(options),
    instances: template(options),
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}

/** These roles, and those that they inherit. */
async function withInherited(api: Api, roles: readonly Role[]): Promise<Role[]> {
  const ids = new Set(roles.flatMap(({ inherits }) => inherits));
  return [...roles, ...(await inOrder([...ids], (id) => findRole(api, id)))];
}

const givenBy = (roles: readonly Role[], resource: string): string[] => {
  const permissions = roles.flatMap((role) => role.permissions).filter((one) => one.resource === resource);
  return [...new Set(permissions.flatMap(({ scopes }) => scopes))];
};

/** Owners are asked for with the choices there are. */
export async function ownerNeeded(api: Api): Promise<CliError> {
  const teams = await api.list<Team>('/teams', {}, 5);
  const choices = teams.map(({ name }) => `--owner team:${name}`).join(', ');
  return new CliError('usage', 'Every agent needs an owner: a team or person who answers for it.', {
    hint:
      choices === ''
        ? 'Make one: bailiwick teams create support'
        : `Such as ${choices}. \`bailiwick teams create NAME\` makes another.`,
  });
}
