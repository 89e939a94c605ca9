import { type Api, openApi } from '../api.ts';
import { command, yes } from '../command.ts';
import { CliError, nameTaken } from '../errors.ts';
import { confirm } from '../io.ts';
import { findAgent, findRole, namer } from '../names.ts';
import { fields, show, table } from '../output.ts';
import { permissionsFrom } from '../permission-options.ts';
import type { Resource, Role } from '../registry.ts';
import { inOrder } from '../values.ts';
import { statusStyle } from './status.ts';

const roleArgument = { name: 'role', description: 'The name or id of a role.' } as const;
const agentArgument = { name: 'agent', description: 'The name or id of an agent.' } as const;

const roleOptions = {
  description: { value: 'TEXT', description: 'What it is for, in a sentence.' },
  permission: {
    value: 'RESOURCE=SCOPE,…',
    many: true,
    description: 'Scopes that it gives on a resource: tickets=tickets:read,tickets:write.',
  },
  details: {
    value: 'RESOURCE=JSON',
    many: true,
    description:
      'Up to which authorization_details may be asked for on a resource: \'bank={"type":"transfer","amount":100}\'.',
  },
  inherit: { value: 'ROLE', many: true, description: 'A role whose permissions it has as well; one level deep.' },
} as const;

const list = command({
  name: 'roles list',
  summary: 'List roles and what they give.',
  examples: [{ command: 'bailiwick roles list', does: 'All of them' }],
  async run(context) {
    const api = openApi(context);
    const items = await api.list<Role>('/roles');
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = namer(await api.list<Resource>('/resources'));
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'GIVES', value: (role) => (role.system ? 'built in' : gives(role, nameOf).join('; ')) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No roles yet. `bailiwick roles create --help` shows how to make one.',
      ),
    );
  },
});

const showOne = command({
  name: 'roles show',
  summary: 'Show a role and what it gives.',
  arguments: [roleArgument],
  examples: [{ command: 'bailiwick roles show ticket-reader', does: 'What it gives' }],
  async run(context, [name]) {
    const api = openApi(context);
    const role = await findRole(api, name);
    if (context.globals.json) return show(context, role, () => '');
    const nameOf = namer(await api.list<Resource>('/resources'));
    const roleName = namer(role.inherits.length > 0 ? await api.list<Role>('/roles') : []);
    show(context, role, () =>
      fields(context, [
        ['name', role.name],
        ['id', role.id],
        ['status', role.status],
        ['description', role.description],
        ['gives', gives(role, nameOf).join('\n') || 'nothing'],
        ...(role.inherits.length > 0 ? [['inherits', role.inherits.map(roleName).join('\n')] as const] : []),
      ]),
    );
  },
});

const create = command({
  name: 'roles create',
  summary: 'Make a role: a named set of scopes and details on resources.',
  arguments: [{ name: 'name', description: 'Its name: lowercase letters, digits, dots, hyphens.' }],
  options: roleOptions,
  examples: [
    { command: 'bailiwick roles create ticket-reader --permission tickets=tickets:read', does: 'May read tickets' },
    {
      command: 'bailiwick roles create ticket-clerk --permission tickets=tickets:write --inherit ticket-reader',
      does: 'May write them, and all that ticket-reader may',
    },
    {
      command:
        'bailiwick roles create small-payments --permission bank=transfers \\\n' +
        '  --details \'bank={"type":"transfer","amount":100}\'',
      does: 'May move up to 100 at a time',
    },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    if (options.permission.length + options.details.length + options.inherit.length === 0) {
      throw new CliError('usage', 'A role that gives nothing is none: name a --permission.', {
        hint: 'Such as --permission tickets=tickets:read.',
      });
    }
    const body = { ...(await powerOf(api, options)), description: options.description ?? '' };
    const role = await api
      .create<Role>('/roles', { name, ...body })
      .catch(nameTaken(name, `What it gives is changed with \`bailiwick roles update ${name} --permission …\`.`));
    show(
      context,
      role,
      () => `Made the role ${role.name} (${role.id}). \`bailiwick roles grant ${role.name} AGENT\` gives it.`,
    );
  },
});

const update = command({
  name: 'roles update',
  summary: 'Change what a role gives. It is in force at once, for every agent that holds it.',
  description:
    '--permission and --details together replace all that it gives itself, --inherit all that it inherits; --inherit none takes that away.',
  arguments: [roleArgument],
  options: roleOptions,
  examples: [
    {
      command: 'bailiwick roles update ticket-reader --permission tickets=tickets:read,tickets:search',
      does: 'Exactly these scopes from now on',
    },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    const role = await findRole(api, name);
    const body = {
      ...(options.description === undefined ? {} : { description: options.description }),
      ...(await powerOf(api, options)),
    };
    if (Object.keys(body).length === 0) {
      throw new CliError('usage', 'Nothing to change was named.', { hint: 'See `bailiwick roles update --help`.' });
    }
    const after = await api.patch<Role>(`/roles/${role.id}`, body);
    show(context, after, () => `Changed the role ${after.name} (${after.id}).`);
  },
});

const grant = command({
  name: 'roles grant',
  summary: 'Give a role to an agent.',
  arguments: [roleArgument, agentArgument],
  examples: [{ command: 'bailiwick roles grant ticket-reader desk', does: 'desk may read tickets' }],
  async run(context, [roleName, agentName]) {
    const api = openApi(context);
    const role = await findRole(api, roleName);
    const agent = await findAgent(api, agentName);
    const after = await api.put<object>(`/agents/${agent.id}/roles/${role.id}`, undefined);
    const uses = agent.resources.filter(({ resource }) => role.permissions.some((one) => one.resource === resource));
    const update = `\`bailiwick agents update ${agent.name} --resource RESOURCE\``;
    // an agent's default scopes are those of the time of its registration
    const more = role.permissions.filter(({ resource, scopes }) => {
      const known = uses.find((use) => use.resource === resource)?.scope ?? [];
      return scopes.some((scope) => !known.includes(scope));
    });
    const hint = `Its defaults stay what they are: it names the new scopes when it asks, or ${update} makes all that its roles give there the default.`;
    show(context, after, () => [`${agent.name} holds ${role.name}.`, ...(more.length > 0 ? [hint] : [])].join('\n'));
  },
});

const revoke = command({
  name: 'roles revoke',
  summary: 'Take a role from an agent. Tokens that rest on it end.',
  arguments: [roleArgument, agentArgument],
  options: { yes },
  examples: [{ command: 'bailiwick roles revoke ticket-reader desk --yes', does: 'desk may no longer read tickets' }],
  async run(context, [roleName, agentName], options) {
    const api = openApi(context);
    const role = await findRole(api, roleName);
    const agent = await findAgent(api, agentName);
    await confirm(
      context.io,
      `This takes ${role.name} from ${agent.name}, and ends its tokens that rest on it.`,
      options.yes,
    );
    await api.delete(`/agents/${agent.id}/roles/${role.id}`);
    show(context, { agent: agent.id, role: role.id }, () => `${agent.name} no longer holds ${role.name}.`);
  },
});

const retire = command({
  name: 'roles retire',
  summary: 'End a role for good. Whoever holds it loses what it gave, at once.',
  arguments: [roleArgument],
  options: { yes, reason: { value: 'TEXT', description: 'Why, for the log.' } },
  examples: [{ command: 'bailiwick roles retire ticket-reader --yes', does: 'End it without being asked' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const role = await findRole(api, name);
    await confirm(context.io, `This ends the role ${role.name} for good, and the tokens that rest on it.`, options.yes);
    const after = await api.post<Role>(`/roles/${role.id}/retire`, { reason: options.reason });
    show(context, after, () => `The role ${after.name} is retired.`);
  },
});

export const roleCommands = [list, showOne, create, update, grant, revoke, retire];

const gives = (role: Role, nameOf: (id: string) => string) =>
  role.permissions.map(
    ({ resource, scopes, details = [] }) =>
      `${nameOf(resource)}: ${[...scopes, ...details.map((detail) => JSON.stringify(detail))].join(' ')}`,
  );

interface PowerOptions {
  permission: string[];
  details: string[];
  inherit: string[];
}

/** What a role gives, as far as the options say something of it. */
async function powerOf(api: Api, { permission, details, inherit }: PowerOptions) {
  const permissions = await permissionsFrom(api, { permission, details });
  const inherited = inherit.length === 1 && inherit[0] === 'none' ? [] : inherit;
  return {
    ...(permissions.length > 0 && {
      permissions: permissions.map(({ details: bounds, ...one }) => ({
        ...one,
        ...(bounds.length > 0 && { details: bounds }),
      })),
    }),
    ...(inherit.length > 0 && {
      inherits: (await inOrder(inherited, (name) => findRole(api, name))).map(({ id }) => id),
    }),
  };
}
