import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ProtocolError, parseCompact } from '@bailiwick/protocol';
import { didYouMeanHint } from '../../lib/did-you-mean.ts';
import { isId } from '../../lib/ids.ts';
import { type Api, openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { CliError, exitCodes } from '../errors.ts';
import { confirm } from '../io.ts';
import { namer } from '../names.ts';
import { show } from '../output.ts';
import type { Acknowledgement, Revocation, RevocationReach } from '../registry.ts';
import { holesOf, verdict } from '../revocation-verdict.ts';
import { answersOf, answersTable, kindWords, reachInWords, whatItDoes } from '../revocation-words.ts';
import { wholeNumber } from '../values.ts';

interface Revoked {
  rev?: number;
  already?: true;
  kind: string;
  subject: string;
  name: string;
  effect: string;
  acknowledgement: Acknowledgement;
}

export const revoke = command({
  name: 'revoke',
  summary: 'Take power back everywhere, from anything; returns when that is true at every guard.',
  description:
    'It shows how far it reaches before it asks, and afterwards who acknowledged it when. An agent, a mandate, a trusted issuer, an ' +
    'organization and the agents of a team are suspended, a role, a resource or a person loses the tokens that are out there; anything else ends. --for-good and --tokens-only ' +
    'say otherwise. It ends with 8 where it is not true everywhere: a guard has not answered or is not known to listen, or nobody guards an API that living tokens are for.',
  arguments: [
    { name: 'kind', description: `What it is: ${Object.keys(kindWords).join(', ')}.` },
    {
      name: 'name',
      description: 'Its name or id; of a token the jti, of a key the kid, of a person the address.',
      optional: true,
    },
    { name: 'role', description: 'With role-grant: the role that the agent loses.', optional: true },
  ],
  options: {
    reason: { value: 'TEXT', description: 'Why, for the log. Leave names of people out.' },
    'for-good': { description: 'End it for good.' },
    'tokens-only': { description: 'Only what was given out until now dies; it goes on.' },
    'with-agents': { description: 'With a person: the agents, too, that they answer for.' },
    'token-file': { value: 'FILE', description: 'With token: a file that holds it, or - for standard input.' },
    wait: { value: 'SECONDS', description: 'How long to wait until it is true everywhere (default 30).' },
    yes,
  },
  examples: [
    {
      command: 'bailiwick revoke agent desk --reason "calls that nobody can explain"',
      does: 'Stop an agent everywhere',
    },
    { command: 'bailiwick revoke agent desk --tokens-only --yes', does: 'End what it holds; it gets new tokens' },
    { command: 'bailiwick revoke role-grant desk ticket-writer', does: 'Take a role from an agent' },
    { command: 'bailiwick revoke token --token-file - < found.txt', does: 'End a token that was found somewhere' },
    {
      command: 'bailiwick revoke key 3xK9… --reason "a copy of the database is gone"',
      does: 'Believe a signing key no more',
    },
  ],
  async run(context, [kindText, name, role], options) {
    const kind = kindOf(kindText);
    const subject = await subjectOf(context, kind, { name, role, file: options['token-file'] });
    const effect = effectOf(options);
    const most = options.wait === undefined ? 30 : wholeNumber('--wait', options.wait, { least: 0, most: 600 });
    const agents = options['with-agents'] || undefined;
    if (agents && kind !== 'person' && kind !== 'team')
      throw new CliError('usage', '--with-agents goes with a person or a team.');
    const api = openApi(context);
    const { organization } = context.globals;
    const asked = { organization, kind, subject, effect, agents: agents && 'true' };
    const reach = await api
      .get<RevocationReach>('/revocations/reach', asked)
      .catch((error: Error) => notThere(api, { kind, name, role }, error));
    if (!context.globals.json) context.io.err(`${reachInWords(context, reach)}\n\n`);
    if (!reach.over) await confirm(context.io, whatItDoes(reach), options.yes);
    const revoked = await api.create<Revoked>('/revocations', {
      kind,
      subject: reach.subject,
      effect,
      agents,
      reason: options.reason ?? 'revoked on the command line',
    });
    const { rev } = revoked;
    if (rev === undefined) {
      return show(context, revoked, () =>
        reach.over
          ? `The ${kindText} had ended before: no token of it lives.`
          : `Nothing was left to revoke of the ${kindText}: it was revoked before, or its time was up.`,
      );
    }
    const stood = await waited(context, api, { rev, seconds: most });
    const { acknowledgement, revoked_at } = stood;
    const nameOf = namer(reach.resources, ...reach.resources.map(({ guards }) => guards));
    const answers = answersOf(acknowledgement, revoked_at, nameOf);
    const holder = kind === 'role_grant' && !isId('grant', subject) ? name : undefined;
    const done = { kind, name: revoked.name, holder, effect: revoked.effect, already: revoked.already ?? false, reach };
    show(context, { ...revoked, revoked_at, reach, acknowledgement }, () =>
      [answersTable(context, answers), '', verdict(context, done, stood, nameOf)].join('\n'),
    );
    const { guards, apis } = holesOf(reach, stood);
    const everywhere = acknowledgement.complete && guards.length + apis.length === 0;
    return everywhere ? exitCodes.ok.code : exitCodes.incomplete.code;
  },
});

/** @throws CliError (usage) with what is nearest */
function kindOf(text: string): string {
  const kind = Object.hasOwn(kindWords, text) ? kindWords[text] : undefined;
  if (kind !== undefined) return kind;
  const kinds = Object.keys(kindWords);
  throw new CliError('usage', `"${text}" is nothing that can be revoked.${didYouMeanHint(text, kinds)}`, {
    hint: `It is one of: ${kinds.join(', ')}.`,
  });
}

function effectOf(options: { 'for-good': boolean; 'tokens-only': boolean }): 'end' | 'tokens' | undefined {
  if (options['for-good'] && options['tokens-only']) {
    throw new CliError('usage', 'Which? --for-good ends it, with --tokens-only it goes on.');
  }
  return options['for-good'] ? 'end' : options['tokens-only'] ? 'tokens' : undefined;
}

async function subjectOf(
  context: Context,
  kind: string,
  { name, role, file }: { name: string | undefined; role: string | undefined; file: string | undefined },
): Promise<string> {
  if (file !== undefined) {
    if (kind !== 'token' || name !== undefined) throw new CliError('usage', '--token-file takes the place of a jti.');
    const from = file === '-' ? 'standard input' : file;
    return jtiIn(file === '-' ? await context.io.input() : readToken(context, file), from);
  }
  if (name === undefined)
    throw new CliError('usage', `Which ${kind.replace('_', ' ')}?`, { hint: 'See `bailiwick revoke --help`.' });
  if (name.split('.').length === 3 && name.startsWith('ey')) {
    throw new CliError('usage', 'A token does not belong on a command line, where others can read it.', {
      hint: 'Put it into a file: `bailiwick revoke token --token-file FILE` (- is standard input).',
    });
  }
  if (kind === 'role_grant' && role !== undefined) return `${name}+${role}`;
  if (kind === 'role_grant' && !isId('grant', name) && !name.includes('+'))
    throw new CliError('usage', 'Which role? It reads: bailiwick revoke role-grant AGENT ROLE.');
  if (role !== undefined) throw new CliError('usage', `"${role}" is too much: only a role-grant takes a role.`);
  return name;
}

const lists: Readonly<Record<string, string>> = {
  agent: 'agents',
  role: 'roles',
  resource: 'resources',
  team: 'teams',
  organization: 'organizations',
};

/** Says what was meant, perhaps. @throws the error that it was given, with more in it where there is more to say */
async function notThere(
  api: Api,
  { kind, name = '', role }: { kind: string; name: string | undefined; role: string | undefined },
  error: Error,
): Promise<never> {
  if (!(error instanceof CliError) || error.reason !== 'not_found') throw error;
  if (kind === 'role_grant' && role !== undefined) {
    throw new CliError('not_found', `${name} does not hold the role ${role}, or is not here.`, {
      hint: `See \`bailiwick agents show ${name}\`.`,
    });
  }
  const list = lists[kind];
  if (list === undefined) throw error;
  const names = (await api.list<{ name: string }>(`/${list}`, {}, 200)).map((one) => one.name);
  throw new CliError('not_found', `There is no ${kind} "${name}" here.${didYouMeanHint(name, names)}`, {
    hint: `See \`bailiwick ${list} list\`.`,
  });
}

function readToken(context: Context, file: string): string {
  try {
    return readFileSync(path.resolve(context.io.cwd, file), 'utf8');
  } catch (error) {
    throw new CliError('usage', `${file} can't be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}

/** Which token it is. It isn't sent anywhere. */
function jtiIn(text: string, from: string): string {
  try {
    const { jti } = parseCompact(text.trim()).payload;
    if (typeof jti === 'string') return jti;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  throw new CliError(
    'usage',
    `--token-file: ${from} holds no token: it should be three parts with a dot between them, and nothing else.`,
    { hint: '`bailiwick token --raw` prints one in that form.' },
  );
}

const stepSeconds = 3;

/** Waits until it is true everywhere, and says from time to time for whom. */
async function waited(
  context: Context,
  api: Api,
  { rev, seconds }: { rev: number; seconds: number },
): Promise<Revocation> {
  const began = context.io.now();
  for (let left = seconds; ; ) {
    const wait_seconds = Math.min(left, stepSeconds);
    const stood = await api.get<Revocation>(`/revocations/${rev}`, { wait_seconds });
    const waiting = stood.acknowledgement.resources.filter(({ acknowledged_at }) => acknowledged_at === undefined);
    left -= stepSeconds;
    if (stood.acknowledgement.complete || left <= 0 || context.io.now() - began > seconds * 1000) return stood;
    if (!context.globals.json) {
      context.io.err(
        `Revoked. ${waiting.length} of ${stood.acknowledgement.resources.length} resources have a guard that has not answered yet …\n`,
      );
    }
  }
}
