/** Commands that change what decides. Each shows what it is about to change, and wants a reason. */
import { type Api, openApi } from '../../api.ts';
import { type Context, command, yes } from '../../command.ts';
import { CliError, exitCodes } from '../../errors.ts';
import { confirm } from '../../io.ts';
import { findPolicy } from '../../names.ts';
import { painter, show } from '../../output.ts';
import type { ListedPolicy, Policy } from '../../registry.ts';
import { wholeNumber } from '../../values.ts';
import { type Document, mustBeRight, readDocuments } from './documents.ts';
import { type DiffLine, lineDiff, showDiff } from './line-diff.ts';
import { policyArgument, versionOf } from './look.ts';

const reason = { value: 'TEXT', description: 'Why, for the history and the log. Leave names of people out.' } as const;

const filesArgument = {
  name: 'file',
  many: true,
  description: 'Files such as read-only.cedar, or folders of them. The name of the file is that of the policy.',
} as const;

/** @throws CliError (usage) */
function reasonNeeded(text: string | undefined): string {
  if (text !== undefined && text.trim() !== '') return text;
  throw new CliError('usage', 'Say why with --reason: it stands in the history of the policy.', {
    hint: 'Such as --reason "the auditors asked for it".',
  });
}

type Mode = 'enforce' | 'observe';

/** What a file would change on the server. */
interface Planned {
  document: Document;
  /** As it is there, with its entity tag. */
  present: { body: Policy; etag: string } | undefined;
  mode: Mode;
  lines: DiffLine[];
}

/** Of these documents those that differ from what is there. @param mode undefined: as it is, `enforce` for a new one */
async function planned(api: Api, documents: readonly Document[], mode: Mode | undefined): Promise<Planned[]> {
  const plan: Planned[] = [];
  for (const document of documents) {
    const [known] = await api.list<ListedPolicy>('/policies', { name: document.name });
    const present = known && (await api.getTagged<Policy>(`/policies/${known.id}`));
    const before = present && present.body.mode !== 'removed' ? present.body : undefined;
    const wanted = mode ?? before?.mode ?? 'enforce';
    if (before !== undefined && before.text === document.text && before.mode === wanted) continue;
    plan.push({
      document,
      present,
      mode: wanted as Mode,
      lines: lineDiff(before?.text ?? '', document.text),
    });
  }
  return plan;
}

function showPlanned(context: Context, { document, present, mode, lines }: Planned): string {
  const paint = painter(context.io);
  const before = present?.body.mode;
  const isNew = before === undefined || before === 'removed';
  const title = isNew
    ? paint('green', `+ policy ${document.name} (${mode}${before === 'removed' ? ', was removed' : ''})`)
    : paint('yellow', `~ policy ${document.name}${before === mode ? ` (${mode})` : ` (${before} → ${mode})`}`);
  const diff = showDiff(lines, paint);
  return diff === '' ? title : `${title}\n${diff}`;
}

const shownPlan = ({ document, present, mode, lines }: Planned) => ({
  name: document.name,
  action: present === undefined || present.body.mode === 'removed' ? 'create' : 'update',
  mode,
  lines: lines.filter(({ sign }) => sign !== ' ').map(({ sign, text }) => `${sign}${text}`),
});

export const save = command({
  name: 'policy save',
  summary: 'Save policies from files. It shows the difference first, and asks.',
  description:
    'Every file is checked before anything is sent. A policy that is on the server and not among the files stays. What is saved decides from ' +
    'the next request on; tokens that are out already run their course.\n' +
    '--observe saves it so that what it would refuse is recorded, and nothing is refused: `bailiwick policy enforce` makes it decide.',
  arguments: [filesArgument],
  options: {
    reason,
    observe: { description: 'Only record what it would decide.' },
    enforce: { description: 'Let it decide, even if it was observed until now.' },
    yes,
  },
  examples: [
    {
      command: 'bailiwick policy save read-only.cedar --reason "incident 42" --observe',
      does: 'See what it would refuse',
    },
    { command: 'bailiwick policy save policies/ --reason "reviewed in #118" --yes', does: 'In a pipeline' },
  ],
  async run(context, [paths], options) {
    if (options.observe && options.enforce)
      throw new CliError('usage', '--observe and --enforce contradict each other.');
    const documents = readDocuments(context, paths);
    const why = reasonNeeded(options.reason);
    await mustBeRight(documents);
    const api = openApi(context);
    const mode = options.observe ? 'observe' : options.enforce ? 'enforce' : undefined;
    const plan = await planned(api, documents, mode);
    const { json } = context.globals;
    if (plan.length === 0) {
      show(context, { saved: [] }, () => 'Nothing to change: the server has these policies as they are.');
      return;
    }
    if (!json) context.io.out(`${plan.map((one) => showPlanned(context, one)).join('\n')}\n\n`);
    const decides = plan.some(({ mode, present }) => mode === 'enforce' || present?.body.mode === 'enforce');
    const effect = decides ? 'This changes what decides' : 'This changes what is observed, and decides nothing';
    await confirm(context.io, `${effect}: ${counted(plan.length)}.`, options.yes);
    const saved: Policy[] = [];
    for (const { document, present, mode: after } of plan) {
      const body = { text: document.text, mode: after, reason: why };
      saved.push(
        present
          ? await api.patch<Policy>(`/policies/${present.body.id}`, body, present.etag)
          : await api.create<Policy>('/policies', { name: document.name, ...body }),
      );
    }
    show(context, { saved: saved.map(({ text: _, ...rest }) => rest) }, () => {
      const last = saved.at(-1);
      const names = saved.map(({ name }) => name).join(', ');
      const now = saved.every(({ mode: after }) => after === 'observe')
        ? 'Nothing is refused by it: what it would have decided is recorded.'
        : 'It decides from now on.';
      const before = plan.at(-1)?.present?.body;
      const back =
        before && last
          ? ` \`bailiwick policy rollback ${last.name} ${before.revision} --reason …\` takes it back.`
          : '';
      return `Saved ${names}, as revision ${last?.revision}. ${now}${back}`;
    });
  },
});

const counted = (count: number) => (count === 1 ? 'one policy' : `${count} policies`);

export const diff = command({
  name: 'policy diff',
  summary: 'Show how files differ from what is saved, or two versions of a policy from each other.',
  description: 'It ends with 0 if they are the same, and with 7 if they differ.',
  arguments: [{ name: 'file', many: true, description: 'Files or folders; or, with --from, the name of one policy.' }],
  options: {
    from: { value: 'REVISION', description: 'Compare versions of a policy: from this one.' },
    to: { value: 'REVISION', description: 'To this one; to what it says now unless said otherwise.' },
  },
  examples: [
    { command: 'bailiwick policy diff policies/', does: 'In a pull request: what would change?' },
    { command: 'bailiwick policy diff night --from 7', does: 'What has changed since' },
  ],
  async run(context, [paths], options) {
    const api = openApi(context);
    if (options.from === undefined && options.to === undefined) {
      const documents = readDocuments(context, paths);
      await mustBeRight(documents);
      const plan = await planned(api, documents, undefined);
      show(context, { differ: plan.map(shownPlan) }, () =>
        plan.length === 0
          ? 'The server has these policies as they are.'
          : plan.map((one) => showPlanned(context, one)).join('\n'),
      );
      return plan.length === 0 ? exitCodes.ok.code : exitCodes.pending.code;
    }
    const [name = '', ...others] = paths;
    if (others.length > 0 || options.from === undefined) {
      throw new CliError('usage', '--from and --to compare versions of one policy: name it, and say --from.');
    }
    const policy = await findPolicy(api, name);
    const before = await versionOf(api, policy, wholeNumber('--from', options.from));
    const after = options.to === undefined ? policy : await versionOf(api, policy, wholeNumber('--to', options.to));
    const lines = lineDiff(before.text, after.text);
    const changed = lines.filter(({ sign }) => sign !== ' ');
    const modes = before.mode === after.mode ? '' : `mode: ${before.mode} → ${after.mode}\n`;
    const differ = changed.length > 0 || modes !== '';
    show(
      context,
      {
        name: policy.name,
        from: { revision: before.revision, mode: before.mode },
        to: { revision: after.revision, mode: after.mode },
        lines: changed.map(({ sign, text }) => `${sign}${text}`),
      },
      () => (differ ? `${modes}${showDiff(lines, painter(context.io))}` : 'They are the same.'),
    );
    return differ ? exitCodes.pending.code : exitCodes.ok.code;
  },
});

export const rollback = command({
  name: 'policy rollback',
  summary: 'Let a policy say again what it said: text and mode of an earlier version.',
  arguments: [policyArgument, { name: 'revision', description: 'Which, as `policy versions` shows them.' }],
  options: { reason, yes },
  examples: [
    {
      command: 'bailiwick policy rollback night 7 --reason "the night shift could not work"',
      does: 'Look, then say yes',
    },
  ],
  async run(context, [name, revision], options) {
    const why = reasonNeeded(options.reason);
    const api = openApi(context);
    const policy = await findPolicy(api, name);
    const before = await versionOf(api, policy, wholeNumber('REVISION', revision));
    const lines = lineDiff(policy.mode === 'removed' ? '' : policy.text, before.text);
    const modes = policy.mode === before.mode ? '' : `mode: ${policy.mode} → ${before.mode}\n`;
    if (!context.globals.json) context.io.out(`${modes}${showDiff(lines, painter(context.io))}\n\n`);
    await confirm(
      context.io,
      `This lets ${policy.name} say what it said from revision ${before.revision} on.`,
      options.yes,
    );
    const after = await api.post<Policy>(`/policies/${policy.id}/rollback`, { revision: before.revision, reason: why });
    show(context, after, () => `${after.name} says what it said (revision ${after.revision}, ${after.mode}).`);
  },
});

/** `policy observe` and `policy enforce`. */
function modeCommand(
  mode: Mode,
  words: { summary: string; example: string; asks: (name: string) => string; done: string },
) {
  return command({
    name: `policy ${mode}`,
    summary: words.summary,
    arguments: [policyArgument],
    options: { reason, yes },
    examples: [{ command: `bailiwick policy ${mode} night --reason "${words.example}"`, does: words.done }],
    async run(context, [name], options) {
      const why = reasonNeeded(options.reason);
      const api = openApi(context);
      const policy = await findPolicy(api, name);
      if (policy.mode === mode) {
        return show(context, policy, () => `${policy.name} is in mode ${mode} already: nothing to change.`);
      }
      await confirm(context.io, words.asks(policy.name), options.yes);
      const after = await api.patch<Policy>(`/policies/${policy.id}`, { mode, reason: why });
      show(context, after, () => `${after.name} is in mode ${after.mode} from now on (revision ${after.revision}).`);
    },
  });
}

export const observe = modeCommand('observe', {
  summary: 'Let a policy decide nothing any more, and record what it would have decided.',
  example: 'it refuses too much',
  asks: (name) => `This lets ${name} decide nothing any more.`,
  done: 'Nobody is refused by it any more; the log says who would be',
});

export const enforce = modeCommand('enforce', {
  summary: 'Let a policy decide.',
  example: 'a week of observing showed nothing odd',
  asks: (name) => `This lets ${name} decide from the next request on.`,
  done: 'After it was observed for a while',
});

export const remove = command({
  name: 'policy remove',
  summary: 'Let a policy decide no more. Its versions stay, and it can be rolled back.',
  arguments: [policyArgument],
  options: { reason, yes },
  examples: [
    { command: 'bailiwick policy remove read-only --reason "the incident is over" --yes', does: 'Without being asked' },
  ],
  async run(context, [name], options) {
    const why = reasonNeeded(options.reason);
    const api = openApi(context);
    const policy = await findPolicy(api, name);
    if (policy.mode === 'removed') return show(context, policy, () => `${policy.name} was removed already.`);
    const others = (await api.list<ListedPolicy>('/policies')).filter(
      ({ id, mode }) => id !== policy.id && mode === 'enforce',
    );
    const alone =
      others.length === 0 ? ' No other one decides: without a policy that permits, nothing is allowed.' : '';
    await confirm(context.io, `This removes the policy ${policy.name}.${alone}`, options.yes);
    const after = await api.post<Policy>(`/policies/${policy.id}/remove`, { reason: why });
    show(context, after, () => {
      const back = `bailiwick policy rollback ${after.name} ${policy.revision} --reason …`;
      return `${after.name} decides no more (revision ${after.revision}). \`${back}\` brings it back.`;
    });
  },
});
