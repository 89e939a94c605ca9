import { openApi } from '../api.ts';
import { command, yes } from '../command.ts';
import { CliError } from '../errors.ts';
import { confirm } from '../io.ts';
import { keyFromOptions, keyOptions } from '../key-options.ts';
import { findAgent, namer } from '../names.ts';
import { shortTime, show, table } from '../output.ts';
import type { Agent, Credential } from '../registry.ts';

const list = command({
  name: 'credentials list',
  summary: 'List the public keys by which agents prove who they are.',
  options: {
    agent: { value: 'AGENT', description: 'Only those of this agent.' },
    all: { description: 'Those that have ended too.' },
  },
  examples: [{ command: 'bailiwick credentials list --agent desk', does: 'The keys of one agent' }],
  async run(context, _args, options) {
    const api = openApi(context);
    const agent = options.agent === undefined ? undefined : (await findAgent(api, options.agent)).id;
    const items = await api.list<Credential>('/credentials', { agent, status: options.all ? undefined : 'active' });
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = namer(await api.list<Agent>('/agents'));
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'AGENT', value: (one) => nameOf(one.agent) },
          { title: 'ALG', value: ({ alg }) => alg },
          { title: 'LABEL', value: ({ label }) => label },
          { title: 'LAST USED', value: (one) => shortTime(one.last_used_at) || 'never' },
          {
            title: 'ENDS',
            value: (one) => (one.status === 'active' ? shortTime(one.expires_at) || 'never' : 'has ended'),
          },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No credentials.',
      ),
    );
  },
});

const add = command({
  name: 'credentials add',
  summary: 'Give an agent another key. The ones it has stay until they are ended.',
  description: 'To replace a key: add the new one, let the agent use it, then end the old one.',
  arguments: [{ name: 'agent', description: 'The name or id of an agent.' }],
  options: {
    ...keyOptions,
    label: { value: 'TEXT', description: 'Where the private half lives, say.' },
    expires: { value: 'TIME', description: 'When it ends by itself, such as 2030-01-31T12:00:00Z.' },
  },
  examples: [
    { command: 'bailiwick credentials add desk --key-out desk-2.json', does: 'A new key, made here' },
    {
      command: 'bailiwick credentials add desk --key desk.pub.json --label laptop',
      does: 'A key that desk made itself',
    },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    const agent = await findAgent(api, name);
    const key = await keyFromOptions(context, options);
    if (key.jwk === undefined) {
      throw new CliError('usage', 'Which key? --key-out FILE makes one, --key FILE takes one.');
    }
    const body = { agent: agent.id, jwk: key.jwk, label: options.label, expires_at: options.expires };
    const credential = await api.post<Credential>('/credentials', body).catch(key.abandon);
    key.keep({ issuer: api.identity.issuer, client_id: agent.id });
    show(context, { ...credential, ...(key.file === undefined ? {} : { key_file: key.file }) }, () =>
      [`Added ${credential.id} (${credential.alg}) to ${agent.name}.`, ...key.words].join('\n'),
    );
  },
});

const end = command({
  name: 'credentials end',
  summary: 'End a credential for good, and the tokens that were got with it.',
  arguments: [{ name: 'credential', description: 'The id of a credential (`bailiwick credentials list`).' }],
  options: { yes },
  examples: [{ command: 'bailiwick credentials end crd_06cyv… --yes', does: 'End it without being asked' }],
  async run(context, [id], options) {
    const api = openApi(context);
    if (!/^crd_[0-9a-z]+$/.test(id)) {
      throw new CliError('usage', `"${id}" is not the id of a credential.`, {
        hint: 'See `bailiwick credentials list`.',
      });
    }
    const credential = await api.get<Credential>(`/credentials/${id}`);
    const agent = await api.get<Agent>(`/agents/${credential.agent}`);
    await confirm(context.io, `This ends a key of ${agent.name} for good, and its tokens.`, options.yes);
    await api.delete(`/credentials/${id}`);
    show(context, { ...credential, status: 'removed' }, () => `Ended ${id} of ${agent.name}.`);
  },
});

export const credentialCommands = [list, add, end];
