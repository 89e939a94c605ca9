import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { publicJwk, thumbprint } from '@bailiwick/protocol';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { type Api, openApi } from './api.ts';
import { command, yes } from './command.ts';
import { CliError } from './errors.ts';
import { configOf, identityFile, newKey, writeSuccessor } from './identity.ts';
import { confirm } from './io.ts';
import { fields, shortTime, show } from './output.ts';
import type { Agent, Credential } from './registry.ts';
import { sentence } from './sentence.ts';

const showOperator = command({
  name: 'operator show',
  summary: 'Show the identity that this command line acts as.',
  examples: [{ command: 'bailiwick operator show', does: 'Who am I here, and by which key?' }],
  async run(context) {
    const { file } = identityFile(context);
    const api = openApi(context);
    const agent = await api.get<Agent>(`/agents/${api.identity.client_id}`);
    const credential = await ownCredential(api);
    show(context, { file, issuer: api.identity.issuer, agent, credential }, () =>
      fields(context, [
        ['file', file],
        ['issuer', api.identity.issuer],
        ['name', agent.name],
        ['id', agent.id],
        ['status', agent.status],
        ['roles', agent.roles.map(({ name }) => name).join('\n')],
        ['key', `${credential.kid} (${credential.alg}), made ${shortTime(credential.created_at)}`],
      ]),
    );
  },
});

const rotate = command({
  name: 'operator rotate',
  summary: 'Replace the key that this command line acts with.',
  description:
    'A new key is made here, registered, tried, and put in the place of the old one in the key file; then the old one ends. Whatever ' +
    'interrupts it, one of the two works. Copies of the key file elsewhere stop working.',
  options: {
    alg: { value: 'ALG', description: 'The algorithm of the new key: ES256 (default), EdDSA, PS256 or RS256.' },
  },
  examples: [{ command: 'bailiwick operator rotate', does: 'A new key for the operator' }],
  async run(context, _args, { alg }) {
    const { file } = identityFile(context);
    const api = openApi(context);
    const old = await ownCredential(api);
    const jwk = await newKey(alg);
    const identity = { ...api.identity, jwk };
    const successor = writeSuccessor(file, identity);
    const body = { agent: api.identity.client_id, jwk: publicJwk(jwk), label: 'made by operator rotate' };
    const credential = await api.post<Credential>('/credentials', body).catch((error: unknown) => {
      successor.abandon();
      throw error;
    });
    const renewed = openApi(context, identity);
    // the new key opens the door before the old one is thrown away
    await renewed.get(`/agents/${identity.client_id}`).catch((error: unknown) => {
      if (!(error instanceof CliError)) throw error;
      const hint = `Both keys stand, the new one in ${file}.new. Try again: \`bailiwick operator rotate\`.`;
      throw new CliError(error.reason, `The new key could not be tried: ${error.message}`, { hint });
    });
    successor.replace();
    await renewed.delete(`/credentials/${old.id}`);
    show(
      context,
      { file, credential, ended: old.id },
      () => `${file} holds a new key (${credential.alg}); the old one has ended.`,
    );
  },
});

const recover = command({
  name: 'operator recover',
  summary: 'Make a new operator key, for those who hold the server’s data.',
  description:
    'For when operator.json is lost or no longer accepted. It works on the database itself, with the configuration of the server, and needs ' +
    'no identity: run it where the server runs, as its user. The server may be running. The log keeps that it was done.',
  options: {
    'end-others': { description: 'End the keys that the operator had before: do it if one may be in the wrong hands.' },
    yes,
  },
  examples: [
    { command: 'bailiwick operator recover', does: 'The key file is lost' },
    { command: 'bailiwick operator recover --end-others --yes', does: 'The key file was stolen' },
  ],
  async run(context, _args, options) {
    const config = configOf(context);
    if (config.database_url === undefined && !existsSync(path.join(config.data, 'bailiwick.db'))) {
      throw new CliError('usage', `There is no data of a server at ${config.data}: nothing was made there.`, {
        hint: 'Run this where the server runs, or name its data folder: BAILIWICK_DATA=FOLDER, or --config FILE.',
      });
    }
    const others = options['end-others'] ? ', and ends those that it had' : '';
    await confirm(context.io, `This writes a new operator key to ${config.data}/operator.json${others}.`, options.yes);
    const { openDeps } = await import('../app.ts');
    const { recoverOperator } = await import('../admin/first-start.ts');
    const before = readdirSync(config.data);
    const deps = await openDeps(config, { clock: systemClock, log: silentLogger });
    try {
      const recovered = await recoverOperator(deps, { endOthers: options['end-others'] }).catch((error: Error) => {
        throw new CliError('failed', sentence(error.message));
      });
      const file = recovered.operatorFile;
      const aside = readdirSync(config.data).find((one) => one.startsWith('operator.json.') && !before.includes(one));
      const kept = aside === undefined ? undefined : path.join(config.data, aside);
      show(context, { file, client_id: recovered.client_id, ended: recovered.ended, kept }, () =>
        [
          `${file} holds a new operator key. ${endedWords(recovered.ended)}`,
          ...(kept === undefined
            ? []
            : [`The key file of before is kept as ${kept}: remove it once you don't need it.`]),
        ].join('\n'),
      );
    } finally {
      await deps.db.close();
    }
  },
});

export const operatorCommands = [showOperator, rotate, recover];

const endedWords = (ended: number) =>
  ended === 0
    ? 'Earlier keys were left as they are.'
    : `${ended} earlier ${ended === 1 ? 'key has' : 'keys have'} ended.`;

/** The credential whose key the identity file holds. */
async function ownCredential(api: Api): Promise<Credential> {
  const { client_id, jwk } = api.identity;
  const own = thumbprint(jwk);
  const all = await api.list<Credential>('/credentials', { agent: client_id, status: 'active' });
  const found = all.find((one) => one.thumbprint === own);
  if (found !== undefined) return found;
  throw new CliError('failed', `The key in the key file is not among those of ${client_id}.`);
}
