import { type Api, openApi } from '../api.ts';
import { command } from '../command.ts';
import { fields, shortTime, show, table } from '../output.ts';
import type { CertificateAuthority } from '../registry.ts';

const showAuthority = command({
  name: 'ca show',
  summary: 'Show the certificate authority: what signs, what waits, what others trust.',
  description:
    'A root is published in the trust bundle before it signs (published), signs through its intermediate (signing), and stays published until the ' +
    'last certificate under it has ended (retiring). Everything rotates by itself in time.',
  options: {
    pem: { description: 'The roots alone, as PEM: for nginx, openssl and others that read no trust bundle.' },
  },
  examples: [
    { command: 'bailiwick ca show', does: 'What signs now, and what comes next' },
    { command: 'bailiwick ca show --pem > roots.pem', does: 'For a server that is to accept our certificates' },
  ],
  async run(context, _args, { pem }) {
    const ca = await openApi(context).get<CertificateAuthority>('/certificate-authority');
    if (pem) {
      const roots = ca.authorities.filter(({ kind }) => kind === 'root').map(({ certificate }) => certificate);
      return show(context, { roots }, () => roots.join(''));
    }
    show(context, ca, () => {
      const rows = [
        ...ca.authorities.map((each) => ({ ...each, what: each.kind, name: each.subject })),
        ...ca.jwt_svid_keys.map((each) => ({ ...each, what: 'jwt_svid_key', name: each.kid, expires_at: undefined })),
      ];
      const head = fields(context, [
        ['trust domain', ca.trust_domain],
        ['bundle', `number ${ca.spiffe_sequence}, fetched anew every ${ca.spiffe_refresh_hint} s`],
        [
          'private keys',
          ca.encrypted
            ? 'encrypted in the database'
            : 'not encrypted in the database: set key_encryption.file, then `keys rotate --all`',
        ],
      ]);
      const list = table(
        context,
        rows,
        [
          { title: 'WHAT', value: ({ what }) => what },
          {
            title: 'STATE',
            value: ({ state }) => state,
            style: ({ state }) => (state === 'signing' ? 'green' : 'dim'),
          },
          { title: 'SIGNS FROM', value: (each) => shortTime(each.signs_from), whole: true },
          { title: 'UNTIL', value: (each) => shortTime(each.signs_until) },
          { title: 'EXPIRES', value: (each) => shortTime(each.expires_at) },
          { title: 'NAME', value: ({ name }) => name },
        ],
        'No authority: the server has never started.',
      );
      return `${head}\n\n${list}`;
    });
  },
});

const rotate = command({
  name: 'ca rotate',
  summary: 'Make a successor of a root, an intermediate or a key of JWT-SVIDs, before its time.',
  description:
    'A root or key signs once every verifier has had time to fetch it (26 hours), an intermediate at once. No certificate and no verifier is ' +
    'disturbed. If a successor is waiting already, that one is shown.',
  arguments: [{ name: 'what', description: 'root, intermediate (default) or jwt_svid_key.', optional: true }],
  examples: [
    { command: 'bailiwick ca rotate', does: 'The next intermediate' },
    { command: 'bailiwick ca rotate root', does: 'The next root' },
  ],
  async run(context, [what]) {
    const api = openApi(context);
    const before = await read(api);
    const body = what === undefined ? {} : { what: what.replaceAll('-', '_') };
    const made = await api.post<{ what: string; id: string; signs_from: string }>(
      '/certificate-authority/rotate',
      body,
    );
    const after = await read(api);
    const name = after.authorities.find(({ id }) => id === made.id)?.subject ?? made.id;
    const waited = [...before.authorities.map(({ id }) => id), ...before.jwt_svid_keys.map(({ kid }) => kid)];
    const words = waited.includes(made.id) ? 'is waiting already: nothing was made. It' : 'is there, and';
    show(context, made, () => `${made.what} ${name} ${words} signs from ${shortTime(made.signs_from)}.`);
  },
});

const read = (api: Api) => api.get<CertificateAuthority>('/certificate-authority');

export const caCommands = [showAuthority, rotate];
