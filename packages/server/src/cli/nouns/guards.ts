import { openApi } from '../api.ts';
import { command, yes } from '../command.ts';
import { CliError, nameTaken } from '../errors.ts';
import { confirm } from '../io.ts';
import { keyFromOptions, keyOptions } from '../key-options.ts';
import { findOwner, findResource, namer } from '../names.ts';
import { show, table } from '../output.ts';
import type { Guard, Resource } from '../registry.ts';
import { ownerNeeded } from './agents.ts';
import { statusStyle } from './status.ts';

const list = command({
  name: 'guards list',
  summary: 'List guards: what stands before resources and asks about tokens.',
  examples: [{ command: 'bailiwick guards list', does: 'All of them' }],
  async run(context) {
    const api = openApi(context);
    const items = await api.list<Guard>('/guards');
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = namer(await api.list<Resource>('/resources'));
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'GUARDS', value: ({ resource }) => nameOf(resource) },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No guards yet. `bailiwick guards create --help` shows how to register one.',
      ),
    );
  },
});

const create = command({
  name: 'guards create',
  summary: 'Register a guard for a resource, and make its key here.',
  description:
    'A guard is an identity like any other: with its key file the API learns its operations and asks whether tokens are alive.',
  arguments: [{ name: 'resource', description: 'The name, identifier or id of what it guards.' }],
  options: {
    owner: {
      value: 'OWNER',
      description: 'The team or person who answers for it: team:support, person:ada, or an id.',
    },
    name: { value: 'NAME', description: 'Its name; the name of the resource and -guard unless said otherwise.' },
    ...keyOptions,
  },
  examples: [
    {
      command: 'bailiwick guards create tickets --owner team:support --key-out tickets-guard.json',
      does: 'tickets-guard.json is what the API runs with',
    },
  ],
  async run(context, [resourceName], options) {
    const api = openApi(context);
    const resource = await findResource(api, resourceName);
    if (options.owner === undefined) throw await ownerNeeded(api);
    const owner = await findOwner(api, options.owner);
    const key = await keyFromOptions(context, options);
    if (key.jwk === undefined) {
      throw new CliError('usage', 'A guard needs a key: --key-out FILE makes one, --key FILE takes one.');
    }
    const name = options.name ?? guardName(resource.name);
    const guard = await api
      .create<Guard>('/guards', { name, resource: resource.id, owner: owner.id, jwk: key.jwk })
      .catch(
        nameTaken(
          name,
          `Another key for it: \`bailiwick credentials add ${name} --key-out FILE\`. Another guard: --name NAME.`,
        ),
      )
      .catch(key.abandon);
    key.keep({ issuer: api.identity.issuer, client_id: guard.agent });
    show(context, { ...guard, ...(key.file === undefined ? {} : { key_file: key.file }) }, () =>
      [`Registered ${guard.name} (${guard.id}), which guards ${resource.name}.`, ...key.words].join('\n'),
    );
  },
});

const end = command({
  name: 'guards end',
  summary: 'End a guard for good. What it stood before refuses everything until it has another.',
  arguments: [{ name: 'guard', description: 'The name or id of a guard.' }],
  options: { yes },
  examples: [{ command: 'bailiwick guards end tickets-guard --yes', does: 'End it without being asked' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const guard = (await api.list<Guard>('/guards')).find(
      (one) => one.id === name || (one.name === name && one.status === 'active'),
    );
    if (guard === undefined)
      throw new CliError('not_found', `There is no guard "${name}".`, { hint: 'See `bailiwick guards list`.' });
    await confirm(context.io, `This ends the guard ${guard.name} for good.`, options.yes);
    await api.delete(`/guards/${guard.id}`);
    show(context, { ...guard, status: 'retired' }, () => `The guard ${guard.name} has ended.`);
  },
});

export const guardCommands = [list, create, end];

/** Names of resources are free text; names of agents are not. */
function guardName(resource: string): string {
  const slug = resource
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 50);
  return `${slug || 'api'}-guard`;
}
