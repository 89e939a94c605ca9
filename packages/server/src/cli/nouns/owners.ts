/** Organizations, and the people and teams who answer for agents. */
import { openApi } from '../api.ts';
import { command } from '../command.ts';
import { findPerson } from '../names.ts';
import { show, table } from '../output.ts';
import type { Organization, Person, Team } from '../registry.ts';
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
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No organization within reach.',
      ),
    );
  },
});

const organizationsCreate = command({
  name: 'organizations create',
  summary: 'Make an organization: agents, resources and roles of its own.',
  arguments: [{ name: 'name', description: 'Its name, which stands in the names of its agents. Never used again.' }],
  options: { 'display-name': { value: 'TEXT', description: 'What people call it.' } },
  examples: [
    { command: 'bailiwick organizations create acme', does: 'Then: bailiwick --organization acme agents list' },
  ],
  async run(context, [name], options) {
    const made = await openApi(context).post<Organization>('/organizations', {
      name,
      display_name: options['display-name'] ?? '',
    });
    show(context, made, () => `Made the organization ${made.name} (${made.id}).`);
  },
});

export const ownerCommands = [peopleList, peopleCreate, teamsList, teamsCreate, organizationsList, organizationsCreate];
