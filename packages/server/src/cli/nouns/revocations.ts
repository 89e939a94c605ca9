import { openApi } from '../api.ts';
import { command } from '../command.ts';
import { CliError } from '../errors.ts';
import { findAgent, namer } from '../names.ts';
import { fields, shortTime, show, table } from '../output.ts';
import type { Agent, Guard, Resource, Revocation, Role } from '../registry.ts';
import { answersOf, answersTable, kindWords, words } from '../revocation-words.ts';
import { instant, wholeNumber } from '../values.ts';

const list = command({
  name: 'revocations list',
  summary: 'List what was revoked, newest first.',
  options: {
    agent: { value: 'AGENT', description: 'Only of this agent, and of what hangs on it.' },
    kind: { value: 'KIND', description: `Only of this kind: ${Object.keys(kindWords).join(', ')}.` },
    subject: { value: 'ID', description: 'Only of this.' },
    since: { value: 'TIME', description: 'Only from this time on, such as 2030-01-31T12:00:00Z.' },
    limit: { value: 'NUMBER', description: 'How many at most (default 50).' },
  },
  examples: [
    { command: 'bailiwick revocations list', does: 'What was revoked lately, by whom and why' },
    { command: 'bailiwick revocations list --agent desk --json', does: 'All of one agent, for a program' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const most = options.limit === undefined ? 50 : wholeNumber('--limit', options.limit);
    const agent = options.agent === undefined ? undefined : (await findAgent(api, options.agent)).id;
    const kind = options.kind === undefined ? undefined : (kindWords[options.kind] ?? options.kind);
    const { subject, since } = options;
    const filter = { agent, kind, subject, since: instant('--since', since, context.io.now()) };
    const items = await api.list<Revocation>('/revocations', filter, most);
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = namer(
      await api.list<Agent>('/agents'),
      await api.list<Role>('/roles'),
      await api.list<Resource>('/resources'),
    );
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NUMBER', value: ({ rev }) => String(rev), whole: true },
          { title: 'AT', value: ({ revoked_at }) => shortTime(revoked_at), whole: true },
          { title: 'WHAT', value: ({ kind: what }) => words(what) },
          { title: 'EFFECT', value: effectOf },
          { title: 'OF', value: (one) => ofWhat(one, nameOf) },
          { title: 'BY', value: ({ by }) => nameOf(by) },
          { title: 'WHY', value: ({ reason }) => reason },
        ],
        'Nothing that fits was revoked.',
      ),
    );
  },
});

/** What has no name of its own is called after the agent that it hangs on. */
function ofWhat({ subject, agent }: Revocation, nameOf: (id: string) => string): string {
  const name = nameOf(subject);
  return name !== subject || agent === undefined || agent === subject ? name : `${subject} of ${nameOf(agent)}`;
}

const effectOf = ({ effect, with_more }: Revocation): string =>
  with_more ? `${effectWords[effect]}, and more with it` : effectWords[effect];

const effectWords = { suspend: 'suspended', end: 'ended', tokens: 'tokens only' } as const;

const showOne = command({
  name: 'revocations show',
  summary: 'Show a revocation, and who acknowledged it when.',
  arguments: [{ name: 'number', description: 'Its number (`bailiwick revocations list`).' }],
  examples: [{ command: 'bailiwick revocations show 41', does: 'Has it arrived everywhere?' }],
  async run(context, [text]) {
    if (!/^\d{1,15}$/.test(text)) {
      throw new CliError('usage', `"${text}" is no number of a revocation.`, {
        hint: 'See `bailiwick revocations list`.',
      });
    }
    const api = openApi(context);
    const one = await api.get<Revocation>(`/revocations/${text}`);
    if (context.globals.json) return show(context, one, () => '');
    const nameOf = namer(
      await api.list<Agent>('/agents'),
      await api.list<Role>('/roles'),
      await api.list<Resource>('/resources'),
      await api.list<Guard>('/guards'),
    );
    const together = one.came_with_it ?? [];
    const shown = fields(context, [
      ['number', String(one.rev)],
      ['what', `${words(one.kind)} ${ofWhat(one, nameOf)}`],
      ['id', one.subject],
      ['effect', effectOf(one)],
      ['why', one.reason],
      ['by', nameOf(one.by)],
      ['at', shortTime(one.revoked_at)],
      ['with it', together.map(({ kind, subject }) => `${words(kind)} ${nameOf(subject)}`).join('\n')],
      ['everywhere', one.acknowledgement.forgotten ? '' : one.acknowledgement.complete ? 'yes' : 'not yet'],
    ]);
    const answers = one.acknowledgement.forgotten
      ? 'Not known any more: it is from before it was kept who had to be told.'
      : answersTable(context, answersOf(one.acknowledgement, one.revoked_at, nameOf));
    context.io.out(`${shown}\n\n${answers}\n`);
  },
});

export const revocationCommands = [list, showOne];
