/** Who is told what was revoked, and from whom signals are heard. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isId } from '../../lib/ids.ts';
import { type Api, openApi } from '../api.ts';
import { type Context, command, type OptionValues, yes } from '../command.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { findAgent } from '../names.ts';
import { fields, printable, shortTime, show, table } from '../output.ts';

export interface SignalStream {
  id: string;
  agent: string;
  delivery: 'push' | 'poll';
  host?: string;
  events_requested?: string[];
  description?: string;
  default_subjects: string;
  status: string;
  reason?: string;
  waiting: number;
  failures: number;
  fault?: string;
  delivered_at?: string;
  created_at: string;
}

export interface SignalSource {
  id: string;
  name: string;
  issuer: string;
  jwks_uri: string;
  audience: string[];
  events: string[];
  subjects: string[];
  delivery: 'push' | 'poll';
  push_url?: string;
  poll?: { url: string; oauth?: { issuer: string; client_id: string; jwk: object } };
  heard_at?: string;
  fault?: string;
  created_at: string;
}

const streamArgument = {
  name: 'stream',
  description: 'The id of a stream, or the agent whose only one it is.',
} as const;
const sourceArgument = { name: 'source', description: 'The name or id of a source.' } as const;
const whereTo = ({ delivery, host }: SignalStream) => host ?? (delivery === 'poll' ? 'fetched' : '');

const listStreams = command({
  name: 'signals streams list',
  summary: 'List who is sent security signals, and whether they arrive.',
  examples: [{ command: 'bailiwick signals streams list', does: 'All of them' }],
  async run(context) {
    const items = await openApi(context).list<SignalStream>('/signal-streams');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'AGENT', value: ({ agent }) => agent, whole: true },
          { title: 'TO', value: whereTo },
          { title: 'STATUS', value: ({ status }) => status },
          { title: 'WAITING', value: ({ waiting }) => String(waiting) },
          { title: 'LAST', value: ({ delivered_at }) => shortTime(delivered_at) },
          { title: 'FAULT', value: ({ fault }) => fault ?? '' },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'Nobody is sent signals. Receivers make their streams themselves, with the role signal-receiver.',
      ),
    );
  },
});

const showStream = command({
  name: 'signals streams show',
  summary: 'Show a stream of security signals: whose it is, what waits in it, and what went wrong last.',
  arguments: [streamArgument],
  examples: [{ command: 'bailiwick signals streams show sst_…', does: 'Does it arrive?' }],
  async run(context, [id]) {
    const stream = await findStream(openApi(context), id);
    show(context, stream, () =>
      fields(context, [
        ['id', stream.id],
        ['agent', stream.agent],
        ['to', whereTo(stream)],
        ['description', stream.description],
        ['events', stream.events_requested?.join(' ') ?? 'all'],
        ['about', stream.default_subjects === 'ALL' ? 'everybody, but for whom it removed' : 'whom it added'],
        ['status', stream.reason === undefined ? stream.status : `${stream.status}: ${stream.reason}`],
        ['waiting', String(stream.waiting)],
        ['last delivery', shortTime(stream.delivered_at)],
        ['failures', stream.failures > 0 ? `${stream.failures} in a row` : undefined],
        ['last fault', stream.fault],
      ]),
    );
  },
});

const verifyStream = command({
  name: 'signals streams verify',
  summary: 'Send a verification event on a stream of security signals, to see whether it arrives.',
  description: 'It takes its turn behind what waits. While one waits, no other is sent.',
  arguments: [streamArgument],
  examples: [
    { command: 'bailiwick signals streams verify listener', does: 'Then look with `signals streams show listener`' },
  ],
  async run(context, [text]) {
    const api = openApi(context);
    const { id } = await findStream(api, text);
    const stream = await api.post<SignalStream>(`/signal-streams/${id}/verify`);
    show(context, stream, () => {
      const way = stream.delivery === 'push' ? `is sent to ${stream.host}` : 'waits until it is fetched';
      const held = stream.status === 'paused' ? ' once its receiver goes on: the stream is paused' : '';
      return `A verification event ${way}${held}. \`bailiwick signals streams show ${stream.id}\` says whether it arrived.`;
    });
  },
});

const endStream = command({
  name: 'signals streams end',
  summary: 'End a stream of security signals. What waits in it is dropped.',
  description: 'Its receiver can make another. Whoever should not is suspended, or loses the role signal-receiver.',
  arguments: [streamArgument],
  options: { yes },
  examples: [{ command: 'bailiwick signals streams end sst_… --yes', does: 'Without being asked' }],
  async run(context, [id], options) {
    const api = openApi(context);
    const stream = await findStream(api, id);
    await confirm(
      context.io,
      `${stream.agent} is told nothing more, and ${stream.waiting} signals are dropped.`,
      options.yes,
    );
    await api.delete(`/signal-streams/${stream.id}`);
    show(context, { id: stream.id }, () => `${stream.agent} is told nothing more on ${stream.id}.`);
  },
});

const heardOptions = {
  audience: { value: 'AUDIENCE', many: true, description: 'What its tokens carry as aud. Can be given several times.' },
  'jwks-uri': { value: 'URL', description: 'Where its keys are, if its own metadata does not say so.' },
  event: { value: 'EVENT', many: true, description: 'Listen to this, such as session-revoked. Without: to all.' },
  subject: {
    value: 'KIND',
    many: true,
    description: 'By what it may mean agents: agent, credential, email. Without: agent and credential.',
  },
} as const;

const bodyOf = (options: OptionValues<typeof heardOptions>) => ({
  ...(options.audience.length > 0 && { audience: options.audience }),
  ...(options['jwks-uri'] !== undefined && { jwks_uri: options['jwks-uri'] }),
  ...(options.event.length > 0 && { events: options.event }),
  ...(options.subject.length > 0 && { subjects: options.subject }),
});

const listSources = command({
  name: 'signals sources list',
  summary: 'List from whom security signals are heard.',
  examples: [{ command: 'bailiwick signals sources list', does: 'All of them' }],
  async run(context) {
    const items = await openApi(context).list<SignalSource>('/signal-sources');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'NAME', value: ({ name }) => name },
          { title: 'ISSUER', value: ({ issuer }) => issuer },
          { title: 'BY', value: ({ delivery }) => delivery },
          { title: 'LAST', value: ({ heard_at }) => shortTime(heard_at) },
          { title: 'FAULT', value: ({ fault }) => fault ?? '' },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'Signals are heard from nobody. `bailiwick signals sources create --help` shows how.',
      ),
    );
  },
});

const showSource = command({
  name: 'signals sources show',
  summary: 'Show a source of security signals, and what went wrong last.',
  arguments: [sourceArgument],
  examples: [{ command: 'bailiwick signals sources show okta', does: 'Is anything heard of it?' }],
  async run(context, [name]) {
    shownSource(context, await findSource(openApi(context), name));
  },
});

const createSource = command({
  name: 'signals sources create',
  summary: 'Hear security signals from another provider. What they do, policies say.',
  description: 'It pushes, to the address that is shown; or it is asked, with --poll-url.',
  arguments: [{ name: 'name', description: 'Its name: lowercase letters, digits, dots, hyphens.' }],
  options: {
    issuer: { value: 'URL', description: 'What its tokens carry as iss.' },
    ...heardOptions,
    'poll-url': { value: 'URL', description: 'Ask it there, instead of being pushed to.' },
    'oauth-issuer': { value: 'URL', description: 'Who issues tokens for asking, with --oauth-client.' },
    'oauth-client': { value: 'ID', description: 'What we are there. The public key to register there is shown.' },
    'authorization-file': {
      value: 'FILE',
      description: 'An Authorization header for asking, where there is no OAuth.',
    },
  },
  examples: [
    {
      command:
        'bailiwick signals sources create okta --issuer https://example.okta.com --audience https://id.example.com',
      does: 'It pushes; the secret is shown once',
    },
  ],
  async run(context, [name], options) {
    const { issuer } = options;
    if (issuer === undefined || options.audience.length === 0) {
      throw new CliError('usage', 'Say who it is and for whom its tokens are: --issuer and --audience.', {
        hint: 'See `bailiwick signals sources create --help`.',
      });
    }
    const made = await openApi(context).create<SignalSource & { secret?: string }>('/signal-sources', {
      name,
      issuer,
      ...bodyOf(options),
      ...pollOf(context, options),
    });
    show(context, made, () => {
      const key = made.poll?.oauth && `\nRegister this public key there: ${JSON.stringify(made.poll.oauth.jwk)}`;
      if (made.push_url === undefined) return `${made.name} is asked from now on (${made.id}).${key ?? ''}`;
      const secret = made.secret === undefined ? '' : `\nauthorization_header, shown once: ${made.secret}`;
      return `${made.name} is heard from now on (${made.id}). Give it there:\nendpoint_url: ${made.push_url}${secret}`;
    });
  },
});

interface PollOptions {
  'poll-url': string | undefined;
  'oauth-issuer': string | undefined;
  'oauth-client': string | undefined;
  'authorization-file': string | undefined;
}

/** @throws CliError (usage) */
function pollOf({ io }: Context, options: PollOptions): { poll?: object } {
  const { 'poll-url': url, 'oauth-issuer': issuer, 'oauth-client': client, 'authorization-file': file } = options;
  if (url === undefined) {
    if ((issuer ?? client ?? file) === undefined) return {};
    throw new CliError('usage', 'How it is asked needs --poll-url.');
  }
  if ((issuer === undefined) !== (client === undefined)) {
    throw new CliError('usage', '--oauth-issuer and --oauth-client go together.');
  }
  if (issuer !== undefined) return { poll: { url, oauth: { issuer, client_id: client } } };
  if (file === undefined)
    throw new CliError('usage', 'Say as whom it is asked: --oauth-issuer or --authorization-file.');
  try {
    return { poll: { url, authorization: readFileSync(path.resolve(io.cwd, file), 'utf8').trim() } };
  } catch (error) {
    throw new CliError('usage', `${file} can't be read (${(error as NodeJS.ErrnoException).code}).`);
  }
}

const updateSource = command({
  name: 'signals sources update',
  summary: 'Change what is heard from a source of security signals.',
  arguments: [sourceArgument],
  options: heardOptions,
  examples: [
    { command: 'bailiwick signals sources update okta --event session-revoked', does: 'Listen to nothing else' },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    const body = bodyOf(options);
    if (Object.keys(body).length === 0) throw new CliError('usage', 'Nothing to change was named.');
    const { id } = await findSource(api, name);
    shownSource(context, await api.patch<SignalSource>(`/signal-sources/${id}`, body));
  },
});

const removeSource = command({
  name: 'signals sources remove',
  summary: 'Hear nothing more from a source of security signals. What its signals did stays.',
  arguments: [sourceArgument],
  options: { yes },
  examples: [{ command: 'bailiwick signals sources remove okta --yes', does: 'Without being asked' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const source = await findSource(api, name);
    await confirm(context.io, `Nothing is heard from ${source.name} (${source.issuer}) any more.`, options.yes);
    await api.delete(`/signal-sources/${source.id}`);
    show(context, { id: source.id }, () => `Nothing is heard from ${source.name} any more.`);
  },
});

export const signalCommands = [
  listStreams,
  showStream,
  verifyStream,
  endStream,
  listSources,
  showSource,
  createSource,
  updateSource,
  removeSource,
];

async function findStream(api: Api, text: string): Promise<SignalStream> {
  if (isId('signal_stream', text)) return api.get<SignalStream>(`/signal-streams/${text}`);
  const { id, name } = await findAgent(api, text);
  const [stream, ...others] = await api.list<SignalStream>('/signal-streams', { agent: id });
  if (stream === undefined) throw new CliError('not_found', `${name} has no stream of signals.`);
  if (others.length === 0) return stream;
  throw new CliError('usage', `${name} has ${others.length + 1} streams: say which one.`, {
    hint: '`bailiwick signals streams list` shows their ids.',
  });
}

async function findSource(api: Api, text: string): Promise<SignalSource> {
  const items = await api.list<SignalSource>('/signal-sources');
  const found = items.find(({ id, name }) => id === text || name === text);
  if (found) return found;
  throw new CliError('not_found', `There is no source of signals ${printable(text)} here.`, {
    hint: '`bailiwick signals sources list` shows all of them.',
  });
}

function shownSource(context: Context, source: SignalSource): void {
  show(context, source, () =>
    fields(context, [
      ['name', source.name],
      ['id', source.id],
      ['issuer', source.issuer],
      ['keys', source.jwks_uri],
      ['audience', source.audience.join(' ')],
      ['events', source.events.join(' ')],
      ['means agents by', source.subjects.join(' ')],
      ['pushes to', source.push_url],
      ['is asked at', source.poll?.url],
      ['as', source.poll?.oauth?.client_id],
      ['last heard', shortTime(source.heard_at)],
      ['last fault', source.fault],
    ]),
  );
}
