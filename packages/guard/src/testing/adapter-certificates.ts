/** The part of the adapters' contract that is about tokens bound to certificates: over TLS, and behind proxies. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { parseChallenges } from '@bailiwick/protocol';
import type { GuardOptions } from '../options.ts';
import {
  type AdapterUnderTest,
  type AdapterWorld,
  adapterWorld,
  authority,
  client,
  keyOf,
  type Sent,
  stranger,
  type Transport,
} from './adapter-world.ts';
import { testCertificate } from './certificates.ts';

type Row = [what: string, sent: Sent, status: number, error?: string];

const header = ({ der }: { der: Buffer }) => `:${der.toString('base64')}:`;
const byProxy = (...values: string[]) => values.flatMap((value) => ['Client-Cert', value]);
const asBearer = { scheme: 'Bearer', bound: 'certificate' } as const;
const asDpop = { scheme: 'DPoP', bound: 'key and certificate' } as const;
/** Of no authority that the server knows: TLS lets it through, and it is a certificate all the same. */
const selfMade = testCertificate('client');

const overTls: Row[] = [
  ['its certificate', { ...asBearer, certificate: client }, 200],
  ['its certificate, and its key', { ...asDpop, certificate: client }, 200],
  ['another certificate', { ...asBearer, certificate: stranger }, 401, 'invalid_token'],
  ['another of the same name', { ...asBearer, certificate: selfMade }, 401, 'invalid_token'],
  ['no certificate', asBearer, 401, 'invalid_token'],
  ['its certificate in a header', { ...asBearer, headers: byProxy(header(client)) }, 401, 'invalid_token'],
  [
    'another certificate, and its own in a header',
    { ...asBearer, certificate: stranger, headers: byProxy(header(client)) },
    401,
    'invalid_token',
  ],
  ['its certificate, but DPoP', { ...asBearer, scheme: 'DPoP', certificate: client }, 401, 'invalid_token'],
  ['its certificate, but not the key', { ...asDpop, scheme: 'Bearer', certificate: client }, 401, 'invalid_token'],
  ['its key, and another certificate', { ...asDpop, certificate: stranger }, 401, 'invalid_token'],
  ['its key alone', asDpop, 401, 'invalid_token'],
  [
    'its certificate, and a proof for another path',
    { ...asDpop, certificate: client, proof: { htu: 'https://api.example/api/x' } },
    401,
    'invalid_dpop_proof',
  ],
  [
    'its certificate, and a third thing that nobody can check',
    { scheme: 'Bearer', claims: { cnf: { 'x5t#S256': 'x', kid: 'x' } }, certificate: client },
    401,
    'invalid_token',
  ],
];

const behindProxy: Row[] = [
  ['its certificate', { ...asBearer, headers: byProxy(header(client)) }, 200],
  ['its certificate, and its key', { ...asDpop, headers: byProxy(header(client)) }, 200],
  ['another certificate', { ...asBearer, headers: byProxy(header(stranger)) }, 401, 'invalid_token'],
  ['no header', asBearer, 401, 'invalid_token'],
  ['its key, and no header', asDpop, 401, 'invalid_token'],
  ['two headers', { ...asBearer, headers: byProxy(header(client), header(client)) }, 401, 'invalid_token'],
  [
    'two headers in one',
    { ...asBearer, headers: byProxy(`${header(client)}, ${header(client)}`) },
    401,
    'invalid_token',
  ],
  ['an empty header', { ...asBearer, headers: byProxy('') }, 401, 'invalid_token'],
  ['a parameter', { ...asBearer, headers: byProxy(`${header(client)};a=1`) }, 401, 'invalid_token'],
  ['escaped PEM', { ...asBearer, headers: byProxy(encodeURIComponent(client.cert)) }, 401, 'invalid_token'],
  ['a space in it', { ...asBearer, headers: byProxy(header(client).replace(':', ': ')) }, 401, 'invalid_token'],
  [
    'a header of another name',
    { ...asBearer, headers: ['X-Client-Cert', header(client), 'X-SSL-Client-Cert', header(client)] },
    401,
    'invalid_token',
  ],
];

const elsewhere: [where: string, transport: Transport, options: Partial<GuardOptions>, sent: Sent][] = [
  ['over plain HTTP', 'http', {}, asBearer],
  ['over plain HTTP, with a header', 'http', {}, { ...asBearer, headers: byProxy(header(client)) }],
  ['over TLS without certificates', 'https', {}, { ...asBearer, certificate: client }],
];

const loopback = { clientCertificate: { proxies: ['127.0.0.0/8', '::1'] } };
const another = { clientCertificate: { proxies: ['10.0.0.7/32'] } };

export function certificateContract(adapter: AdapterUnderTest): void {
  const rows = (title: string, transport: Transport, options: Partial<GuardOptions>, table: Row[]) =>
    describe(`adapter: ${adapter.name}, ${title}: a token that is bound to a certificate`, () => {
      let world: AdapterWorld;
      before(async () => {
        world = await adapterWorld(adapter, options, transport);
      });
      after(() => world.close());

      for (const [what, sent, status, error] of table) {
        test(`${status === 200 ? 'allowed with' : 'refused with'} ${what}`, async () => {
          const seen = world.callers.length;
          const reply = await world.send(sent);
          assert.equal(reply.status, status, reply.body);
          assert.equal(world.callers.length - seen, status === 200 ? 1 : 0);
          if (status === 200) {
            const proof = sent.bound === 'certificate' ? 'certificate' : 'dpop and certificate';
            assert.equal(world.callers.at(-1)?.proof, proof);
            return;
          }
          const challenges = parseChallenges(String(reply.headers['www-authenticate']));
          const told = challenges.map(({ scheme, params }) => [scheme, params.error]);
          const tried = sent.scheme;
          const other = tried === 'DPoP' ? 'Bearer' : 'DPoP';
          const expected = [
            [tried, error],
            [other, undefined],
          ];
          assert.deepEqual(told, expected, 'what was tried stands first');
          assert.equal(JSON.parse(reply.body).error, error);
        });
      }

      test('the metadata says that it can be used here', async () => {
        const path = new URL(world.guard.metadataUrl).pathname;
        const reply = JSON.parse((await world.send({ scheme: 'none', path })).body);
        assert.deepEqual(
          [reply.tls_client_certificate_bound_access_tokens, reply.dpop_bound_access_tokens_required],
          [true, false],
        );
      });
    });

  rows('over TLS', 'https, certificates asked for', {}, overTls);
  rows('behind a proxy', 'http', loopback, behindProxy);
  rows('where another is the proxy', 'http', another, [
    [
      'its certificate in the header of a stranger',
      { ...asBearer, headers: byProxy(header(client)) },
      401,
      'invalid_token',
    ],
  ]);
  rows('where another is the proxy, over TLS', 'https, certificates asked for', another, [
    ['its certificate', { ...asBearer, certificate: client, headers: byProxy(header(stranger)) }, 200],
    ['its certificate in the header', { ...asBearer, headers: byProxy(header(client)) }, 401, 'invalid_token'],
  ]);
  rows('behind a proxy that comes over TLS', 'https, certificates asked for', loopback, [
    ['its certificate', { ...asBearer, certificate: stranger, headers: byProxy(header(client)) }, 200],
    ["the proxy's own certificate, which is that", { ...asBearer, certificate: client }, 401, 'invalid_token'],
  ]);

  describe(`adapter: ${adapter.name}, where no certificates are seen`, () => {
    for (const [where, transport, options, sent] of elsewhere) {
      test(`a token that is bound to one is refused ${where}`, async (context) => {
        const world = await adapterWorld(adapter, options, transport);
        context.after(() => world.close());
        const reply = await world.send(sent);
        const challenges = parseChallenges(String(reply.headers['www-authenticate']));
        assert.equal(reply.status, 401);
        assert.deepEqual(
          challenges.map(({ scheme, params }) => [scheme, params.error]),
          [['DPoP', 'invalid_token']],
        );
        const path = new URL(world.guard.metadataUrl).pathname;
        const metadata = JSON.parse((await world.send({ scheme: 'none', path })).body);
        assert.ok(!('tls_client_certificate_bound_access_tokens' in metadata));
        assert.equal(world.callers.length, 0);
      });
    }
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`adapter: ${adapter.name}: a resumed ${version} session has the certificate that it began with`, async (context) => {
      const world = await adapterWorld(adapter, {}, 'https, certificates asked for');
      context.after(() => world.close());
      const own = await overSession(world, { ...asBearer, certificate: client, version });
      assert.match(own.answer, /^HTTP\/1\.1 200 /);
      // The thief of a session has no certificate of its own to offer; whoever began it has shown theirs.
      const resumed = await overSession(world, { ...asBearer, session: own.session, version });
      assert.deepEqual([resumed.reused, resumed.answer.slice(0, 12)], [true, 'HTTP/1.1 200']);
      const none = await overSession(world, { ...asBearer, version });
      const stillNone = await overSession(world, { ...asBearer, session: none.session, version });
      assert.deepEqual([stillNone.reused, stillNone.answer.slice(0, 12)], [true, 'HTTP/1.1 401']);
    });
  }
}

/** One request on a TLS connection of its own, and the session with which that can be resumed. */
async function overSession(
  world: AdapterWorld,
  sent: Sent & { session?: Buffer; version: 'TLSv1.2' | 'TLSv1.3' },
): Promise<{ answer: string; session: Buffer; reused: boolean }> {
  const headers = await world.headersFor(sent);
  const pairs = headers.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${headers[index + 1]}`] : []));
  const { session, certificate, version } = sent;
  return new Promise((resolve, reject) => {
    let answer = '';
    let next: Buffer | undefined;
    let reused = false;
    const socket: TLSSocket = connect({
      host: 'localhost',
      port: world.port,
      ca: authority.cert,
      minVersion: version,
      maxVersion: version,
      ...(certificate && keyOf(certificate)),
      ...(session && { session }),
    });
    socket.on('session', (ticket) => (next = ticket));
    socket.on('secureConnect', () => {
      reused = socket.isSessionReused();
      socket.write(`${['GET /api/tickets/7 HTTP/1.1', ...pairs, 'Connection: close'].join('\r\n')}\r\n\r\n`);
    });
    socket.setEncoding('utf8').on('data', (text) => (answer += text));
    socket.on('error', reject).on('close', () => {
      if (next === undefined && session === undefined) reject(new Error('the server gave no session'));
      else resolve({ answer, session: next ?? session!, reused });
    });
  });
}
