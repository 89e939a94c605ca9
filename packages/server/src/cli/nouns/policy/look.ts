/** What the policies of an organization are and were. */
import { policySchema } from '../../../policy/schema.ts';
import { type Api, openApi } from '../../api.ts';
import { command } from '../../command.ts';
import { CliError } from '../../errors.ts';
import { findPolicy, namer } from '../../names.ts';
import { fields, printable, type Style, shortTime, show, table } from '../../output.ts';
import type { Agent, ListedPolicy, Policy, PolicyVersion } from '../../registry.ts';
import { wholeNumber } from '../../values.ts';

export const policyArgument = { name: 'policy', description: 'The name or id of a policy.' } as const;

const modeStyles: Readonly<Record<Policy['mode'], Style>> = { enforce: 'green', observe: 'yellow', removed: 'dim' };
const modeStyle = ({ mode }: Pick<Policy, 'mode'>) => modeStyles[mode];

/** Ids of authors to names, as far as this identity may see agents. */
async function authorNamer(api: Api): Promise<(id: string) => string> {
  try {
    return namer(await api.list<Agent>('/agents'));
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return (id) => id;
    throw error;
  }
}

export const list = command({
  name: 'policy list',
  summary: 'List the policies that decide, and those that are only observed.',
  options: { removed: { description: 'Those that were removed instead.' } },
  examples: [
    { command: 'bailiwick policy list', does: 'What decides here' },
    { command: 'bailiwick policy list --removed', does: 'What did once, and can be rolled back' },
  ],
  async run(context, _args, { removed }) {
    const api = openApi(context);
    const items = await api.list<ListedPolicy>('/policies', { mode: removed ? 'removed' : undefined });
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = await authorNamer(api);
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'MODE', value: ({ mode }) => mode, style: modeStyle },
          { title: 'REVISION', value: ({ revision }) => String(revision) },
          { title: 'CHANGED', value: ({ updated_at }) => shortTime(updated_at) },
          { title: 'BY', value: ({ author }) => nameOf(author) },
          { title: 'REASON', value: ({ reason }) => reason },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        removed
          ? 'No policy was removed.'
          : 'No policies: nothing is allowed. `bailiwick policy list --removed` shows what can be rolled back.',
      ),
    );
  },
});

export const showOne = command({
  name: 'policy show',
  summary: 'Show a policy: its text, who wrote it and why.',
  description: 'The text alone goes to standard output when it is a file or a pipe, so that it can be saved.',
  arguments: [policyArgument],
  options: { revision: { value: 'NUMBER', description: 'As it was from this revision on.' } },
  examples: [
    { command: 'bailiwick policy show starter', does: 'What every organization begins with' },
    { command: 'bailiwick policy show starter > starter.cedar', does: 'Its text, to be changed' },
    { command: 'bailiwick policy show night --revision 7', does: 'What it said then' },
  ],
  async run(context, [name], { revision }) {
    const api = openApi(context);
    const policy = await findPolicy(api, name);
    const one = revision === undefined ? policy : await versionOf(api, policy, wholeNumber('--revision', revision));
    const { text } = one;
    if (context.globals.json) return show(context, one, () => '');
    if (context.io.columns === undefined) return context.io.out(text.endsWith('\n') ? text : `${text}\n`);
    const nameOf = await authorNamer(api);
    const head = fields(context, [
      ['name', policy.name],
      ['id', policy.id],
      ['mode', one.mode],
      ['revision', String(one.revision)],
      ['written', `${shortTime('updated_at' in one ? one.updated_at : one.created_at)} by ${nameOf(one.author)}`],
      ['reason', one.reason],
    ]);
    show(context, one, () => `${head}\n\n${text.split('\n').map(printableLine).join('\n')}`);
  },
});

const printableLine = (line: string) => printable(line.replaceAll('\t', '  ').replace(/\r$/, ''));

/** @throws CliError (not_found) */
export async function versionOf(api: Api, policy: Policy, revision: number): Promise<PolicyVersion & { text: string }> {
  try {
    return await api.get<PolicyVersion & { text: string }>(`/policies/${policy.id}/versions/${revision}`);
  } catch (error) {
    if (!(error instanceof CliError) || error.reason !== 'not_found') throw error;
    throw new CliError('not_found', `${policy.name} was not changed with revision ${revision}.`, {
      hint: `See \`bailiwick policy versions ${policy.name}\`.`,
    });
  }
}

export const versions = command({
  name: 'policy versions',
  summary: 'Show who changed a policy, when and why.',
  description: 'A revision numbers the changes of all policies of the organization, so those of one policy have gaps.',
  arguments: [policyArgument],
  examples: [{ command: 'bailiwick policy versions night', does: 'The newest first' }],
  async run(context, [name]) {
    const api = openApi(context);
    const policy = await findPolicy(api, name);
    const items = await api.list<PolicyVersion>(`/policies/${policy.id}/versions`);
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = await authorNamer(api);
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'REVISION', value: ({ revision }) => String(revision) },
          { title: 'MODE', value: ({ mode }) => mode, style: modeStyle },
          { title: 'WRITTEN', value: ({ created_at }) => shortTime(created_at) },
          { title: 'BY', value: ({ author }) => nameOf(author) },
          { title: 'REASON', value: ({ reason }) => reason },
        ],
        'It has no versions.',
      ),
    );
  },
});

export const schema = command({
  name: 'policy schema',
  summary: 'Print the words that policies may use, as a Cedar schema.',
  description: 'Editors with Cedar support complete and check policies by it. No server is asked.',
  examples: [{ command: 'bailiwick policy schema > bailiwick.cedarschema', does: 'For an editor' }],
  async run(context) {
    show(context, { schema: policySchema }, () => policySchema);
  },
});
