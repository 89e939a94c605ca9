import { type CredentialKind, credentialKinds, type Standing } from '../../credentials/credential.ts';
import { type Api, openApi } from '../api.ts';
import { command, yes } from '../command.ts';
import { credentialFromOptions, credentialOptions } from '../credential-options.ts';
import { described, endOf, kindOf, lastUseFooter, lastUseOf, reasonsToLook, whatItIs } from '../credential-words.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { findAgent, namer } from '../names.ts';
import { type Column, shortTime, show, span, table } from '../output.ts';
import type { Agent, Credential, Event, MadeCredential } from '../registry.ts';
import { duration } from '../values.ts';
import { showSecret, tokenWords } from './enrolment-token.ts';

const list = command({
  name: 'credentials list',
  summary: 'List what agents prove themselves with.',
  description:
    'Those that work, and those of suspended agents. With --stale and --expiring only what deserves a look, for either reason; ' +
    'enrolment tokens, which live for minutes, only with --kind enrolment_token. ' +
    '`bailiwick credentials --stale 30d` means the same: a group with options lists. ' +
    `${lastUseFooter} --stale lists what was surely not used.`,
  options: {
    agent: { value: 'AGENT', description: 'Only those of this agent.' },
    kind: { value: 'KIND', description: `Only of one kind: ${credentialKinds.join(', ')}.` },
    stale: { value: 'TIME', description: 'Those that nobody has used for so long, such as 30d.' },
    expiring: { value: 'TIME', description: 'Those that end by themselves within so long, such as 7d.' },
    all: { description: 'Those that have ended or were used up too.' },
  },
  examples: [
    { command: 'bailiwick credentials list --agent desk', does: 'What one agent has' },
    { command: 'bailiwick credentials list --stale 30d --expiring 7d', does: 'What to tidy up or replace this week' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const now = context.io.now();
    const stale = options.stale === undefined ? undefined : duration('--stale', options.stale);
    const expiring = options.expiring === undefined ? undefined : duration('--expiring', options.expiring);
    const filter = {
      agent: options.agent === undefined ? undefined : (await findAgent(api, options.agent)).id,
      kind: kindFrom(options.kind),
    };
    const standings = options.all ? [undefined] : living;
    const looking = stale !== undefined || expiring !== undefined;
    const all = await listCredentials(api, filter, standings, { stale, expiring, now });
    const items = looking && filter.kind === undefined ? all.filter(({ kind }) => kind !== 'enrolment_token') : all;
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = namer(await api.list<Agent>('/agents'));
    const successors = await successorsOf(api, items);
    const columns: Column<Credential>[] = [
      { title: 'AGENT', value: (one) => nameOf(one.agent) },
      { title: 'KIND', value: kindOf },
      { title: 'WHAT', value: whatItIs },
      { title: 'LABEL', value: ({ label }) => label },
      looking
        ? { title: 'WHY', value: (one) => reasonsToLook(one, { stale, expiring, now }).join(', ') }
        : { title: 'LAST USED', value: (one) => lastUseOf(one, now) },
      ...(items.every(({ status }) => status === 'active')
        ? []
        : [{ title: 'STATUS', value: ({ status }: Credential) => status, style: statusOf }]),
      { title: 'ENDS', value: endOf },
      ...(successors.size === 0
        ? []
        : [{ title: 'REPLACED BY', value: ({ id }: Credential) => successors.get(id) ?? '', whole: true }]),
      { title: 'ID', value: ({ id }) => id, whole: true },
    ];
    const none = looking ? 'Nothing to look at: all are in use, and none ends that soon.' : 'No credentials.';
    const footer =
      looking || items.every(({ last_used_at }) => last_used_at === undefined) ? '' : `\n\n${lastUseFooter}`;
    show(context, { items }, () => `${table(context, items, columns, none)}${footer}`);
  },
});

/** What is being replaced, by what: ids, as the log tells them. Nothing for whom the log is not to see. */
async function successorsOf(api: Api, credentials: readonly Credential[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const ending = credentials.filter((one) => one.expires_at !== undefined && one.kind !== 'enrolment_token');
  if (ending.length === 0) return found;
  const ids = new Set(ending.map(({ id }) => id));
  try {
    for (const { target = '', decided_on } of await api.list<Event>('/events', { type: 'credential.rotated' }, 1000)) {
      const { replaced_by } = (decided_on?.changed ?? {}) as { replaced_by?: string };
      if (replaced_by !== undefined && ids.has(target) && !found.has(target)) found.set(target, replaced_by);
    }
  } catch (error) {
    if (!(error instanceof CliError && error.reason === 'refused')) throw error;
  }
  return found;
}

const statusOf = ({ status }: Credential) =>
  status === 'active' ? undefined : status === 'suspended' ? 'yellow' : 'dim';

function kindFrom(text: string | undefined): CredentialKind | undefined {
  if (text === undefined || (credentialKinds as readonly string[]).includes(text)) return text as CredentialKind;
  throw new CliError('usage', `--kind must be one of ${credentialKinds.join(', ')}, not "${text}".`);
}

const living = ['active', 'suspended'] as const;

/**
 * Credentials in the order in which they were made, of these standings: what has ended stays on the server, since of
 * used enrolment tokens there may be many. With `stale` or `expiring` (ms), only those for which either is true.
 */
export async function listCredentials(
  api: Api,
  filter: { agent: string | undefined; kind?: CredentialKind | undefined },
  standings: readonly (Standing | undefined)[] = living,
  { stale, expiring, now }: { stale?: number | undefined; expiring?: number | undefined; now: number } = { now: 0 },
): Promise<Credential[]> {
  const at = (ms: number) => new Date(ms).toISOString();
  const reasons = [
    ...(stale === undefined ? [] : [{ stale_since: at(now - stale) }]),
    ...(expiring === undefined ? [] : [{ expiring_before: at(now + expiring) }]),
  ];
  const found = new Map<string, Credential>();
  for (const reason of reasons.length > 0 ? reasons : [{}]) {
    for (const status of standings) {
      const some = await api.list<Credential>('/credentials', { ...filter, status, ...reason });
      for (const one of some) found.set(one.id, one);
    }
  }
  return [...found.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

const add = command({
  name: 'credentials add',
  summary: 'Give an agent another way to prove itself. Those that it has stay until they are ended.',
  description:
    'A key is best: its private half never leaves the agent. Certificates are for agents that have one already. To replace something, use ' +
    '`credentials rotate`. A secret or an enrolment token stands alone on standard output, once.',
  arguments: [{ name: 'agent', description: 'The name or id of an agent.' }],
  options: credentialOptions,
  examples: [
    { command: 'bailiwick credentials add desk --key-out desk-2.json', does: 'A new key, made here' },
    {
      command: 'bailiwick credentials add desk --key desk.pub.json --label laptop',
      does: 'A key that desk made itself',
    },
    { command: 'bailiwick credentials add desk --certificate desk.crt', does: 'One certificate, self-signed or not' },
    {
      command: 'bailiwick credentials add desk --tls-subject san_dns=desk.example.com --ca corp-ca.pem',
      does: 'Whatever certificate of that name the company’s authority issues',
    },
    {
      command: 'bailiwick credentials add desk --spiffe-id spiffe://prod.example.com/desk',
      does: 'A workload of another trust domain',
    },
    { command: 'bailiwick credentials add legacy --secret --expires 30d', does: 'A shared secret, while it must be' },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    const agent = await findAgent(api, name);
    const { body, key } = await credentialFromOptions(context, options);
    const made = await api
      .post<MadeCredential>('/credentials', { agent: agent.id, ...body })
      .catch(kindAsSaid(body.kind))
      .catch(key?.abandon);
    key?.keep({ issuer: api.identity.issuer, client_id: agent.id });
    const words = `Added ${made.id} to ${agent.name}: ${withEnd(made)}.`;
    if (made.kind === 'enrolment_token') return showSecret(context, made, tokenWords(context, agent.name, made));
    if (made.secret !== undefined) return showSecret(context, made, `${words} It is shown here and nowhere else:`);
    show(context, { ...made, ...(key?.file === undefined ? {} : { key_file: key.file }) }, () =>
      [words, ...(key?.words ?? [])].join('\n'),
    );
  },
});

/** The kind is said by an option of its own here: what the server refuses of it is told in that option's name. */
const kindAsSaid = (kind: unknown) => (error: unknown) => {
  if (!(error instanceof CliError) || typeof kind !== 'string') throw error;
  const option = `--${kind.replaceAll('_', '-')}`;
  const message = error.message
    .replace(/^--kind can not be \w+ here: /, `${option} is not possible here: `)
    .replace(/^--kind/, option);
  throw new CliError(error.reason, message, error);
};

const withEnd = (made: Credential) =>
  made.expires_at === undefined ? described(made) : `${described(made)}, until ${shortTime(made.expires_at)}`;

const rotate = command({
  name: 'credentials rotate',
  summary: 'Replace a credential: add another, and let the old one end a little later.',
  description:
    'Both work until the overlap is over; nothing has to be done then. Name the new one as for `credentials add`; a secret and an enrolment ' +
    'token need no more, since the server makes another like it.',
  arguments: [{ name: 'credential', description: 'The id of a credential (`bailiwick credentials list`).' }],
  options: {
    overlap: { value: 'TIME', description: 'How long the old one still works, such as 1h (that unless said) or 7d.' },
    ...credentialOptions,
  },
  examples: [
    {
      command: 'bailiwick credentials rotate crd_06cyv… --overlap 1h --key-out desk-2.json',
      does: 'A new key, made here; the old one works for an hour more',
    },
    {
      command: 'bailiwick credentials rotate crd_06cyv… --overlap 7d --certificate desk-2027.crt',
      does: 'The next certificate, a week ahead',
    },
    {
      command: 'bailiwick credentials rotate crd_06cyv… --expires 30d',
      does: 'Another secret; the old one has an hour left',
    },
  ],
  async run(context, [id], options) {
    const api = openApi(context);
    const old = await findCredential(api, id);
    const agent = await api.get<Agent>(`/agents/${old.agent}`);
    const fallback = { secret: 'secret', enrolment_token: 'enrolment-token' } as const;
    const same = old.kind === 'secret' || old.kind === 'enrolment_token' ? fallback[old.kind] : undefined;
    const { body, key } = await credentialFromOptions(context, options, same);
    const likeIt = old.kind === 'enrolment_token' && body.kind === 'enrolment_token';
    const made = await api
      .post<MadeCredential>(`/credentials/${id}/rotate`, {
        ...(likeIt && { addresses: old.addresses, attributes: old.attributes }),
        ...(body.label === undefined && { label: old.label }),
        ...withoutUndefined(body),
        ...(options.overlap !== undefined && {
          overlap_seconds: Math.round(duration('--overlap', options.overlap) / 1000),
        }),
      })
      .catch(kindAsSaid(body.kind))
      .catch(key?.abandon);
    key?.keep({ issuer: api.identity.issuer, client_id: agent.id });
    const after = await api.get<Credential>(`/credentials/${id}`);
    const words = `Added ${made.id} to ${agent.name}: ${withEnd(made)}. ${oldWords(after, context.io.now())}`;
    if (made.secret !== undefined)
      return showSecret(context, made, `${words}\nThe new one is shown here and nowhere else:`);
    show(context, { ...made, ...(key?.file === undefined ? {} : { key_file: key.file }), replaced: after }, () =>
      [words, ...(key?.words ?? [])].join('\n'),
    );
  },
});

const oldWords = ({ id, status, expires_at }: Credential, now: number): string =>
  status === 'active' || status === 'suspended'
    ? `The old one, ${id}, works until ${shortTime(expires_at)} (${span(Date.parse(expires_at ?? '') - now)}).`
    : `The old one, ${id}, has ended.`;

const withoutUndefined = (body: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));

const end = command({
  name: 'credentials end',
  summary: 'End a credential for good, and the tokens and instances that were got with it.',
  arguments: [{ name: 'credential', description: 'The id of a credential (`bailiwick credentials list`).' }],
  options: { yes },
  examples: [{ command: 'bailiwick credentials end crd_06cyv… --yes', does: 'End it without being asked' }],
  async run(context, [id], options) {
    const api = openApi(context);
    const credential = await findCredential(api, id);
    const agent = await api.get<Agent>(`/agents/${credential.agent}`);
    await confirm(
      context.io,
      `This ends the ${described(credential)} of ${agent.name} for good, and the tokens that were got with it.`,
      options.yes,
    );
    await api.delete(`/credentials/${id}`);
    show(context, { ...credential, status: 'removed' }, () => `Ended ${id} of ${agent.name}.`);
  },
});

async function findCredential(api: Api, id: string): Promise<Credential> {
  if (/^crd_[0-9a-z]+$/.test(id)) return api.get<Credential>(`/credentials/${id}`);
  throw new CliError('usage', `"${id}" is not the id of a credential.`, { hint: 'See `bailiwick credentials list`.' });
}

export const credentialCommands = [list, add, rotate, end];
