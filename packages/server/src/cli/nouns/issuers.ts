/** Whose tokens let agents act for people. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isId } from '../../lib/ids.ts';
import { type Api, openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { CliError } from '../errors.ts';
import { asJson } from '../identity.ts';
import { confirm } from '../io.ts';
import { fields, shortTime, show, table } from '../output.ts';
import type { TrustedIssuer } from '../registry.ts';
import { statusStyle } from './status.ts';

const argument = { name: 'issuer', description: 'What its tokens carry as iss, or its id here.' } as const;
const reason = { value: 'TEXT', description: 'Why, for the log.' } as const;

const list = command({
  name: 'issuers list',
  summary: 'List trusted issuers: whose tokens let agents act for people.',
  examples: [{ command: 'bailiwick issuers list', does: 'All of them' }],
  async run(context) {
    const items = await openApi(context).list<TrustedIssuer>('/trusted-issuers');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'ISSUER', value: ({ issuer }) => issuer },
          { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => statusStyle(status) },
          { title: 'ACCEPTS', value: ({ accepts }) => accepts.join(', ') },
          { title: 'RULES', value: ({ rules }) => rules.map(({ name }) => name).join(', ') },
          { title: 'FAULT', value: ({ fault }) => fault ?? '' },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No trusted issuers. `bailiwick issuers trust --help` shows how to trust one.',
      ),
    );
  },
});

const showOne = command({
  name: 'issuers show',
  summary: 'Show a trusted issuer. With --json, its rules as they are written.',
  arguments: [argument],
  examples: [{ command: 'bailiwick issuers show https://login.example.com', does: 'How it is trusted' }],
  async run(context, [name]) {
    showIssuer(context, await found(openApi(context), name));
  },
});

const trust = command({
  name: 'issuers trust',
  summary: 'Let agents act for people by the tokens of an issuer, as rules say.',
  description: 'If it is trusted already, its rules are replaced, and every token that came by them ends.',
  arguments: [{ name: 'issuer', description: 'What its tokens carry as iss: a slash at the end matters.' }],
  options: {
    rules: { value: 'FILE', description: 'The rules: a JSON list, as the admin API takes it.' },
    audience: { value: 'AUDIENCE', many: true, description: 'Whom its tokens are for. This server, if not said.' },
    accept: { value: 'KIND', many: true, description: 'id_token or access_token. ID tokens, if not said.' },
    'jwks-uri': { value: 'URL', description: 'Where its keys are, if it doesn’t say so itself.' },
  },
  examples: [
    {
      command: 'bailiwick issuers trust https://login.example.com --audience assistant-app --rules rules.json',
      does: 'Agents show the ID tokens of assistant-app',
    },
  ],
  async run(context, [issuer], options) {
    if (options.rules === undefined) throw new CliError('usage', 'What do its tokens allow? Name a file with --rules.');
    const api = openApi(context);
    const body = {
      rules: rulesIn(path.resolve(context.io.cwd, options.rules)),
      ...(options.audience.length > 0 && { audiences: options.audience }),
      ...(options.accept.length > 0 && { accepts: options.accept }),
      ...(options['jwks-uri'] !== undefined && { jwks_uri: options['jwks-uri'] }),
    };
    const [known] = await api.list<TrustedIssuer>('/trusted-issuers', { issuer });
    showIssuer(
      context,
      known
        ? await api.patch<TrustedIssuer>(`/trusted-issuers/${known.id}`, body)
        : await api.create<TrustedIssuer>('/trusted-issuers', { issuer, ...body }),
    );
  },
});

const suspend = command({
  name: 'issuers suspend',
  summary: 'Take no tokens of an issuer until it is resumed. What came by it ends at once.',
  arguments: [argument],
  options: { reason },
  examples: [{ command: 'bailiwick issuers suspend https://login.example.com', does: 'They were broken into' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const { id } = await found(api, name);
    showIssuer(context, await api.post<TrustedIssuer>(`/trusted-issuers/${id}/suspend`, { reason: options.reason }));
  },
});

const simple = (verb: 'resume' | 'refresh', summary: string, does: string) =>
  command({
    name: `issuers ${verb}`,
    summary,
    arguments: [argument],
    examples: [{ command: `bailiwick issuers ${verb} https://login.example.com`, does }],
    async run(context, [name]) {
      const api = openApi(context);
      const { id } = await found(api, name);
      showIssuer(context, await api.post<TrustedIssuer>(`/trusted-issuers/${id}/${verb}`));
    },
  });

const remove = command({
  name: 'issuers remove',
  summary: 'Trust an issuer no more. What came by it ends at once.',
  arguments: [argument],
  options: { yes, reason },
  examples: [{ command: 'bailiwick issuers remove https://login.example.com --yes', does: 'Without being asked' }],
  async run(context, [name], options) {
    const api = openApi(context);
    const { id, issuer } = await found(api, name);
    await confirm(context.io, `This ends every token that came by ${issuer}.`, options.yes);
    await api.post(`/trusted-issuers/${id}/remove`, { reason: options.reason });
    show(context, { id }, () => `${issuer} is trusted no more.`);
  },
});

export const issuerCommands = [
  list,
  showOne,
  trust,
  suspend,
  simple('resume', 'Take tokens of an issuer again. What came by it before stays dead.', 'It is theirs again'),
  simple('refresh', 'Fetch the keys of an issuer now, instead of when they are old.', 'A key of theirs was stolen'),
  remove,
];

async function found(api: Api, name: string): Promise<TrustedIssuer> {
  if (isId('trusted_issuer', name)) return api.get<TrustedIssuer>(`/trusted-issuers/${name}`);
  const [issuer] = await api.list<TrustedIssuer>('/trusted-issuers', { issuer: name });
  if (issuer) return issuer;
  throw new CliError('not_found', `The issuer "${name}" is not trusted.`, { hint: 'See `bailiwick issuers list`.' });
}

/** @throws CliError (usage) that names the file */
function rulesIn(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError('usage', `${file} can't be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  const rules = asJson(text);
  if (rules === undefined) throw new CliError('usage', `${file} is not JSON.`);
  return rules;
}

const showIssuer = (context: Context, issuer: TrustedIssuer): void =>
  show(context, issuer, () =>
    fields(context, [
      ['issuer', issuer.issuer],
      ['id', issuer.id],
      ['status', issuer.status],
      ['accepts', issuer.accepts.join(', ')],
      ['for', issuer.audiences.join('\n')],
      ['no older than', `${issuer.max_age_seconds} s`],
      ['rules', issuer.rules.map(({ name, agents }) => `${name}: ${agents.join(', ')}`).join('\n')],
      ['keys', issuer.jwks_uri],
      ['fetched', shortTime(issuer.keys_at)],
      ['fault', issuer.fault],
    ]),
  );
