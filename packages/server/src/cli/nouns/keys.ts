import { jwsAlgorithms } from '@bailiwick/protocol';
import { openApi } from '../api.ts';
import { command } from '../command.ts';
import { CliError } from '../errors.ts';
import { shortTime, show, table } from '../output.ts';
import type { SigningKey } from '../registry.ts';
import { inOrder } from '../values.ts';

const list = command({
  name: 'keys list',
  summary: "List the server's signing keys.",
  description:
    'A key is published before it signs (published), signs (signing), and stays published until its last token has died (retiring).',
  examples: [{ command: 'bailiwick keys list', does: 'What signs now, and what comes next' }],
  async run(context) {
    const { items } = await openApi(context).get<{ items: SigningKey[] }>('/keys');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          {
            title: 'STATE',
            value: ({ state }) => state,
            style: ({ state }) => (state === 'signing' ? 'green' : 'dim'),
          },
          { title: 'ALG', value: ({ alg }) => alg },
          { title: 'SIGNS FROM', value: (key) => shortTime(key.signs_from), whole: true },
          { title: 'UNTIL', value: (key) => shortTime(key.signs_until) },
          { title: 'KID', value: ({ kid }) => kid, whole: true },
        ],
        'No keys: the server has never started.',
      ),
    );
  },
});

const rotate = command({
  name: 'keys rotate',
  summary: 'Publish a new signing key. No token and no verifier is disturbed.',
  description:
    'It begins to sign after keys.publish_seconds, when every verifier has fetched it. If one is waiting already, that one is shown.',
  options: {
    alg: { value: 'ALG', description: `Of which algorithm: ${jwsAlgorithms.join(', ')}; ES256 unless said otherwise.` },
    all: {
      description:
        'Of every algorithm: once private keys are encrypted, or when a copy of the database may be in other hands.',
    },
  },
  examples: [
    { command: 'bailiwick keys rotate', does: 'The next key' },
    { command: 'bailiwick keys rotate --all', does: 'The next key of each algorithm, after encryption was turned on' },
  ],
  async run(context, _args, { alg, all }) {
    if (all && alg !== undefined)
      throw new CliError('usage', 'Which? --alg names one algorithm, --all means every one.');
    const api = openApi(context);
    const words = (key: SigningKey) =>
      `${key.alg} key ${key.kid} is published, and signs from ${shortTime(key.signs_from)}.`;
    if (!all) {
      const key = await api.post<SigningKey>('/keys/rotate', alg === undefined ? {} : { alg });
      return show(context, key, () => words(key));
    }
    const items = await inOrder(jwsAlgorithms, (each) => api.post<SigningKey>('/keys/rotate', { alg: each }));
    show(context, { items }, () => items.map(words).join('\n'));
  },
});

export const keyCommands = [list, rotate];
