/** Organizations, and the teams who answer for agents. */
import { openApi } from '../api.ts';
import { type Context, command } from '../command.ts';
import { CliError } from '../errors.ts';
import { findOrganization, findPerson } from '../names.ts';
import { fields, show, table } from '../output.ts';
import type { Organization, Team } from '../registry.ts';
import { inOrder } from '../values.ts';
import { statusStyle } from './status.ts';

const teamsList = command({
  name: 'teams list',
  summary: 'List teams.',
  examples: [{ command: 'bailiwick teams list', does: 'All of them' }],
  async run(context) {
    const items = await openApi(context).list<Team>('/teams');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'CALLED', value: ({ display_name }) => display_name },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No teams yet. `bailiwick teams create NAME` makes one.',
      ),
    );
  },
});

const teamsCreate = command({
  name: 'teams create',
  summary: 'Make a team, which can then answer for agents.',
  arguments: [{ name: 'name', description: 'Its name: lowercase letters, digits, dots, hyphens.' }],
  options: {
    'display-name': { value: 'TEXT', description: 'What people call it.' },
    member: { value: 'PERSON', many: true, description: 'A person who belongs to it, by name or id.' },
  },
  examples: [{ command: "bailiwick teams create support --display-name 'Customer support'", does: 'A team' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const members = await inOrder(options.member, (member) => findPerson(api, member));
    const team = await api.create<Team>('/teams', { name, display_name: options['display-name'] ?? '' });
    for (const member of members) await api.put(`/teams/${team.id}/members/${member.id}`, undefined);
    show(context, team, () => `Made the team ${team.name} (${team.id}).`);
  },
});

const organizationsList = command({
  name: 'organizations list',
  summary: 'List organizations.',
  examples: [{ command: 'bailiwick organizations list', does: 'All that this identity reaches' }],
  async run(context) {
    const items = await openApi(context).list<Organization>('/organizations');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'CALLED', value: ({ display_name }) => display_name },
          { title: 'TIME ZONE', value: ({ time_zone }) => time_zone },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No organization within reach.',
      ),
    );
  },
});

const organizationOptions = {
  'display-name': { value: 'TEXT', description: 'What people call it.' },
  'time-zone': {
    value: 'NAME',
    description: 'What its policies call local time, such as Europe/Berlin. UTC unless it was ever said.',
  },
} as const;

const organizationBody = (options: { 'display-name': string | undefined; 'time-zone': string | undefined }) => ({
  ...(options['display-name'] !== undefined && { display_name: options['display-name'] }),
  ...(options['time-zone'] !== undefined && { time_zone: options['time-zone'] }),
});

const organizationsShow = command({
  name: 'organizations show',
  summary: 'Show an organization.',
  arguments: [{ name: 'organization', description: 'Its name or id.' }],
  examples: [{ command: 'bailiwick organizations show default', does: 'Its time zone, among it' }],
  async run(context, [name]) {
    const found = await findOrganization(openApi(context), name);
    show(context, found, () => described(context, found));
  },
});

const described = (context: Context, { name, display_name, time_zone, status, id }: Organization) =>
  fields(context, [
    ['organization', name],
    ['called', display_name],
    ['time zone', `${time_zone}: what its policies call local`],
    ['status', status],
    ['id', id],
  ]);

const organizationsUpdate = command({
  name: 'organizations update',
  summary: 'Change what an organization is called, or its time zone.',
  description: 'A policy that asks for the hour or the weekday decides by the new time zone from the next request on.',
  arguments: [{ name: 'organization', description: 'Its name or id.' }],
  options: organizationOptions,
  examples: [
    {
      command: 'bailiwick organizations update default --time-zone Europe/Berlin',
      does: 'Office hours are those of Berlin, in summer and in winter',
    },
  ],
  async run(context, [name], options) {
    const body = organizationBody(options);
    if (Object.keys(body).length === 0) {
      throw new CliError('usage', 'Say what to change: --display-name or --time-zone.');
    }
    const api = openApi(context);
    const found = await findOrganization(api, name);
    const after = await api.patch<Organization>(`/organizations/${found.id}`, body);
    show(context, after, () => described(context, after));
  },
});

const organizationsCreate = command({
  name: 'organizations create',
  summary: 'Make an organization: agents, resources and roles of its own.',
  arguments: [{ name: 'name', description: 'Its name, which stands in the names of its agents. Never used again.' }],
  options: organizationOptions,
  examples: [
    { command: 'bailiwick organizations create acme', does: 'Then: bailiwick --organization acme agents list' },
  ],
  async run(context, [name], options) {
    const made = await openApi(context).post<Organization>('/organizations', {
      name,
      ...organizationBody(options),
    });
    show(context, made, () => `Made the organization ${made.name} (${made.id}).`);
  },
});

export const ownerCommands = [
  teamsList,
  teamsCreate,
  organizationsList,
  organizationsShow,
  organizationsCreate,
  organizationsUpdate,
];
