/** Organizations, and the people and teams who answer for agents. */
import { type Api, openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { someOf } from '../doctor/finding.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { findOrganization, findPerson } from '../names.ts';
import { fields, printable, show, table } from '../output.ts';
import type { Agent, Exporter, Organization, Person, Team } from '../registry.ts';
import { inOrder } from '../values.ts';
import { statusStyle } from './status.ts';

const peopleList = command({
  name: 'people list',
  summary: 'List people.',
  examples: [{ command: 'bailiwick people list', does: 'All of them' }],
  async run(context) {
    const items = await openApi(context).list<Person>('/people');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'EMAIL', value: ({ email }) => email ?? '' },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No people yet. `bailiwick people create NAME` registers one.',
      ),
    );
  },
});

const peopleCreate = command({
  name: 'people create',
  summary: 'Register a person, who can then answer for agents.',
  arguments: [{ name: 'name', description: 'Their name.' }],
  options: { email: { value: 'ADDRESS', description: 'Where they are reached.' } },
  examples: [{ command: "bailiwick people create 'Ada Lovelace' --email ada@example.com", does: 'Register Ada' }],
  async run(context, [name], { email }) {
    const person = await openApi(context).create<Person>('/people', { name, email });
    show(context, person, () => `Registered ${person.name} (${person.id}).`);
  },
});

const peopleErase = command({
  name: 'people erase',
  summary:
    'Erase a person: name, address, and what the log says of them in plain text. Proofs over the log still hold.',
  description:
    'It is refused while they answer for agents. What exporters took elsewhere with --personal can not be recalled: those are named.',
  arguments: [{ name: 'person', description: 'Their name, address or id.' }],
  options: { yes },
  examples: [{ command: 'bailiwick people erase ada@example.com --yes', does: 'Without being asked' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const person = await findPerson(api, name);
    await assertAnswersForNobody(api, person);
    await confirm(context.io, `This erases ${printable(person.name)} (${person.id}) for good.`, options.yes);
    await api.delete(`/people/${person.id}`);
    const elsewhere = await exportersOf(api);
    show(context, { id: person.id, exported_to: elsewhere }, () =>
      [
        `Erased ${person.id}. The log keeps what was done, and nothing of whom.`,
        ...(elsewhere === undefined
          ? ['Whether anything personal was exported is not this identity’s to see: what has left can not be recalled.']
          : elsewhere.length > 0
            ? [
                `What is personal has also gone to ${elsewhere.join(', ')}, and can not be recalled from here: have it erased there.`,
              ]
            : [
                'No exporter that is there now sends what is personal; what one that was removed has sent can not be recalled.',
              ]),
      ].join('\n'),
    );
  },
});

/** @throws CliError who they are, since nobody should be asked for a yes that is refused then */
async function assertAnswersForNobody(api: Api, { id, name }: Person): Promise<void> {
  const owned = await unlessRefused(api.list<Agent>('/agents', { owner: id }));
  const agents = owned?.filter(({ status }) => status !== 'retired') ?? [];
  if (agents.length === 0) return;
  const named = someOf(agents.map((agent) => agent.name));
  throw new CliError('conflict', `${printable(name)} answers for ${printable(named)}: give them another owner first.`, {
    hint: `bailiwick agents update ${agents[0]?.name} --owner OWNER`,
  });
}

/** Those that send what is personal; undefined where nobody may tell. */
async function exportersOf(api: Api): Promise<string[] | undefined> {
  const exporters = await unlessRefused(api.list<Exporter>('/exporters'));
  return exporters?.filter(({ personal }) => personal).map(({ name }) => name);
}

/** What was asked for, or undefined where it is not this identity's to see. */
async function unlessRefused<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return undefined;
    throw error;
  }
}

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
  peopleList,
  peopleCreate,
  peopleErase,
  teamsList,
  teamsCreate,
  organizationsList,
  organizationsShow,
  organizationsCreate,
  organizationsUpdate,
];
