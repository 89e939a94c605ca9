/** The people who answer for agents, and for whom agents act. */
import { type Api, openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { someOf } from '../doctor/finding.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { findPerson } from '../names.ts';
import { fields, printable, show, table } from '../output.ts';
import type { Agent, Exporter, Person } from '../registry.ts';
import { statusStyle } from './status.ts';

const personArgument = { name: 'person', description: 'Their name, address or id.' } as const;

const list = command({
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

const create = command({
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

const erase = command({
  name: 'people erase',
  summary:
    'Erase a person: name, address, and what the log says of them in plain text. Proofs over the log still hold.',
  description:
    'It is refused while they answer for agents. What exporters took elsewhere with --personal can not be recalled: those are named.',
  arguments: [personArgument],
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

const issuerArgument = { name: 'issuer', description: 'What its tokens carry as iss, exactly.' } as const;

const showOne = command({
  name: 'people show',
  summary: 'Show a person, and who they are to trusted issuers.',
  arguments: [personArgument],
  examples: [{ command: 'bailiwick people show ada@example.com', does: 'Who Ada is, here and elsewhere' }],
  async run(context, [name]) {
    showPerson(context, await findPerson(openApi(context), name));
  },
});

const changesWhoseTokens = 'Every token by which something acts for them ends: whoever still may gets another.';

const link = command({
  name: 'people link',
  summary: 'Say who a person is to an issuer: its tokens about that subject are their word, as far as rules let them.',
  description: changesWhoseTokens,
  arguments: [
    personArgument,
    issuerArgument,
    { name: 'subject', description: 'What they carry as sub for this person.' },
  ],
  examples: [
    {
      command: 'bailiwick people link ada@example.com https://login.example.com 248289761001',
      does: 'Then agents show ID tokens of Ada',
    },
  ],
  async run(context, [name, issuer, subject]) {
    showPerson(
      context,
      await relinked(openApi(context), name, (before) =>
        before.some((one) => one.issuer === issuer && one.subject === subject)
          ? before
          : [...before, { issuer, subject }],
      ),
    );
  },
});

const unlink = command({
  name: 'people unlink',
  summary: 'Say that a person is nobody to an issuer any more. What came by its word for them ends at once.',
  description: changesWhoseTokens,
  arguments: [
    personArgument,
    issuerArgument,
    { name: 'subject', description: 'Only this one of theirs. All of them there, if not said.', optional: true },
  ],
  examples: [
    { command: 'bailiwick people unlink ada@example.com https://login.example.com', does: 'Ada has left them' },
  ],
  async run(context, [name, issuer, subject]) {
    const isMeant = (one: Identity) => one.issuer === issuer && (subject === undefined || one.subject === subject);
    const after = await relinked(openApi(context), name, (before) => {
      const kept = before.filter((one) => !isMeant(one));
      if (kept.length < before.length) return kept;
      const whom = subject === undefined ? `nobody to ${issuer}` : `not ${subject} to ${issuer}`;
      throw new CliError('not_found', `"${name}" is ${whom}.`, { hint: `See \`bailiwick people show '${name}'\`.` });
    });
    showPerson(context, after);
  },
});

type Identity = NonNullable<Person['identities']>[number];

/** Of what was read, so that nobody's change meanwhile is lost. @throws CliError (conflict) where there was one */
async function relinked(
  api: Api,
  name: string,
  wanted: (before: readonly Identity[]) => readonly Identity[],
): Promise<Person> {
  const { id } = await findPerson(api, name);
  const { body, etag } = await api.getTagged<Person>(`/people/${id}`);
  return api.patch<Person>(`/people/${id}`, { identities: wanted(body.identities ?? []) }, etag);
}

const showPerson = (context: Context, person: Person): void =>
  show(context, person, () =>
    fields(context, [
      ['person', person.name],
      ['id', person.id],
      ['email', person.email],
      ['status', person.status],
      ['elsewhere', (person.identities ?? []).map(({ issuer, subject }) => `${subject} at ${issuer}`).join('\n')],
    ]),
  );

export const peopleCommands = [list, showOne, create, link, unlink, erase];
