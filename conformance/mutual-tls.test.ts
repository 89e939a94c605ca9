/**
 * Clients that are known by the certificate of their connection, and tokens that are bound to it. Real handshakes, with
 * certificates that another library made.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createDpopProof } from '@bailiwick/protocol';
import { until } from '../packages/server/src/testing/until.ts';
import {
  assertFailed,
  type MutualTls,
  makeAuthority,
  makeCertificate,
  openMutualTls,
  payloadOf,
  type TestCertificate,
} from './mutual-tls.ts';
import { databases } from './world.ts';

const hour = 3_600_000;

for (const database of databases) {
  describe(`mutual TLS on ${database}`, () => {
    let world: MutualTls;
    before(async () => {
      world = await openMutualTls(database);
    });
    after(() => world.close());

    const registered = (field: string, value: string) =>
      world.agent({ kind: 'certificate_subject', subject: { field, value, ca: world.authority.pem } });
    const issued = (options: Parameters<typeof makeCertificate>[0]) =>
      makeCertificate({ issuer: world.authority, ...options });

    async function selfSigned(options: Parameters<typeof makeCertificate>[0] = {}) {
      const certificate = await makeCertificate({ subject: 'CN=self', ...options });
      return { certificate, client: await world.agent({ kind: 'certificate', certificate: certificate.pem }) };
    }

    /** A good token, bound to the certificate: introspected, given up, and dead. */
    async function assertGood(certificate: TestCertificate, clientId: string, method: string) {
      const reply = await world.token(certificate, { client_id: clientId });
      assert.equal(reply.status, 200, `${reply.text} ${world.lastReason()}`);
      assert.equal(reply.json.token_type, 'Bearer');
      const token = reply.json.access_token as string;
      assert.deepEqual(payloadOf(token).cnf, { 'x5t#S256': certificate.x5t });
      const form = { client_id: clientId, token };
      const { json } = await world.post('/oauth2/introspect', certificate, form);
      assert.equal(json.active, true);
      assert.equal(json.client_id, clientId);
      assert.deepEqual(json.cnf, { 'x5t#S256': certificate.x5t });
      assert.equal((await world.post('/oauth2/revoke', certificate, form)).status, 200);
      assert.equal((await world.post('/oauth2/introspect', certificate, form)).json.active, false);
      const events = await world.server.admin<{ items: { decided_on: { client: { method: string } } }[] }>(
        'GET',
        `/events?agent=${clientId}&type=token.issued`,
      );
      assert.equal(events.items[0]?.decided_on.client.method, method);
      return reply;
    }

    test('a self-signed certificate proves the agent that registered it, and binds its tokens', async () => {
      const { client, certificate } = await selfSigned();
      await assertGood(certificate, client.clientId, 'self_signed_tls_client_auth');
    });

    const names: [string, string, string, Parameters<typeof makeCertificate>[0]][] = [
      ['a subject', 'subject_dn', 'CN=front, O=Example', { subject: 'O=Example,CN=front' }],
      [
        'a subject with what has to be escaped',
        'subject_dn',
        'CN=Doe\\, Jane,O=A\\+B',
        { subject: 'O=A\\+B,CN=Doe\\, Jane' },
      ],
      [
        'a DNS name',
        'san_dns',
        'Desk.Example.com',
        {
          names: [
            ['dns', 'www.example.com'],
            ['dns', 'desk.example.COM'],
          ],
        },
      ],
      ['a URI', 'san_uri', 'https://desk.example.com/agent', { names: [['url', 'https://desk.example.com/agent']] }],
      ['an IPv4 address', 'san_ip', '192.0.2.7', { names: [['ip', '192.0.2.7']] }],
      ['an IPv6 address', 'san_ip', '2001:DB8:0::7', { names: [['ip', '2001:db8::7']] }],
      ['a mailbox', 'san_email', 'front@Example.com', { names: [['email', 'front@example.com']] }],
    ];
    for (const [what, field, value, options] of names) {
      test(`tls_client_auth: ${what} proves its agent`, async () => {
        const client = await registered(field, value);
        const reply = await assertGood(await issued(options), client.clientId, 'tls_client_auth');
        assert.equal(reply.json.scope, 'tickets:read');
      });
    }

    test('an authority between root and leaf is followed, when the client sends it', async () => {
      const client = await registered('san_dns', 'between.example.com');
      const between = await makeAuthority('CN=Between', { issuer: world.authority, pathLength: 0 });
      const certificate = await makeCertificate({ issuer: between, names: [['dns', 'between.example.com']] });
      await assertGood(certificate, client.clientId, 'tls_client_auth');
      assertFailed(await world.token({ ...certificate, chain: certificate.pem }, { client_id: client.clientId }));
      assert.equal(world.lastReason(), 'tls_client_auth: unknown_ca');
    });

    test('keys of every kind that is strong enough are taken', async () => {
      for (const alg of ['ES384', 'EdDSA', 'RS256'] as const) {
        const { client, certificate } = await selfSigned({ alg });
        await assertGood(certificate, client.clientId, 'self_signed_tls_client_auth');
        const named = await registered('san_dns', `${alg.toLowerCase()}.example.com`);
        const leaf = await issued({ alg, names: [['dns', `${alg.toLowerCase()}.example.com`]] });
        await assertGood(leaf, named.clientId, 'tls_client_auth');
      }
    });

    test('a token ends with the certificate at the latest', async () => {
      const { client, certificate } = await selfSigned({ until: world.clock.now() + 120_000 });
      const { json } = await world.token(certificate, { client_id: client.clientId });
      assert.ok(json.expires_in <= 120 && json.expires_in > 60, json.expires_in);
    });

    test('beside another method a certificate says nothing of who asks, and binds the token', async () => {
      const { certificate } = await selfSigned();
      const other = await world.agent({ kind: 'certificate', certificate: (await makeCertificate()).pem });
      const reply = await world.token(certificate, await other.form());
      assert.equal(reply.status, 200, reply.text);
      const claims = payloadOf(reply.json.access_token);
      assert.equal(claims.client_id, other.clientId);
      assert.deepEqual(claims.cnf, { 'x5t#S256': certificate.x5t });
    });

    test('with a DPoP proof a token is bound to both', async () => {
      const { client, certificate } = await selfSigned();
      const { deps, clock, mtlsUrl } = world.server;
      const dpop = await createDpopProof(client.signer, {
        htm: 'POST',
        htu: `${mtlsUrl}/oauth2/token`,
        now: clock.now(),
        jti: 'one',
        nonce: deps.nonces.current(clock.now()),
      });
      const reply = await world.token(certificate, { client_id: client.clientId }, { headers: { dpop } });
      assert.equal(reply.json.token_type, 'DPoP', reply.text);
      const cnf = payloadOf(reply.json.access_token).cnf as Record<string, string>;
      assert.deepEqual(Object.keys(cnf).sort(), ['jkt', 'x5t#S256']);
    });

    test('one connection serves for as many requests as it lives, each judged anew', async () => {
      const { client, certificate } = await selfSigned();
      const { Agent } = await import('node:https');
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const ask = () => world.token(certificate, { client_id: client.clientId }, { tls: { agent } });
      assert.equal((await ask()).status, 200);
      await world.server.admin('DELETE', `/credentials/${client.added}`);
      assertFailed(await ask());
      agent.destroy();
    });

    test('the last use of a certificate is noted', async () => {
      const { client, certificate } = await selfSigned();
      await world.token(certificate, { client_id: client.clientId });
      await until(
        () => world.server.admin<{ last_used_at?: string }>('GET', `/credentials/${client.added}`),
        (shown) => shown.last_used_at !== undefined,
      );
    });

    describe('is refused by tls_client_auth', () => {
      let desk: { clientId: string };
      let mail: { clientId: string };
      before(async () => {
        desk = await registered('subject_dn', 'CN=desk,O=Example');
        mail = await registered('san_email', 'desk@example.com');
        await registered('subject_dn', 'CN=other,O=Example');
      });
      const good = 'O=Example,CN=desk';
      const now = () => world.clock.now();
      const subject = (text: string) => () => issued({ subject: text });
      const another = 'tls_client_auth: the certificate has another name';

      const rows: [string, () => Promise<TestCertificate>, string][] = [
        [
          'a certificate that has expired',
          () => issued({ subject: good, until: now() - 1000 }),
          'tls_client_auth: expired',
        ],
        [
          'a certificate that is not valid yet',
          () => issued({ subject: good, from: now() + 60_000 }),
          'tls_client_auth: not_yet_valid',
        ],
        ['the certificate of another client', subject('O=Example,CN=other'), another],
        [
          'an unknown authority',
          async () => makeCertificate({ subject: good, issuer: await makeAuthority('CN=Nobody') }),
          'tls_client_auth: unknown_ca',
        ],
        [
          'an authority that has only the name of the right one',
          async () => makeCertificate({ subject: good, issuer: await makeAuthority('CN=Example Root,O=Example') }),
          'tls_client_auth: unknown_ca',
        ],
        [
          'a certificate that signs itself, with the right name',
          () => makeCertificate({ subject: good }),
          'tls_client_auth: unknown_ca',
        ],
        [
          'a leaf as the authority of another',
          async () => makeCertificate({ subject: good, issuer: await issued({ subject: 'CN=leaf' }) }),
          'tls_client_auth: not_a_ca',
        ],
        [
          'an authority deeper than allowed',
          async () => {
            const between = await makeAuthority('CN=Between', { issuer: world.authority, pathLength: 0 });
            return makeCertificate({ subject: good, issuer: await makeAuthority('CN=Below', { issuer: between }) });
          },
          'tls_client_auth: path_length',
        ],
        [
          'an authority in between that has expired',
          async () =>
            makeCertificate({
              subject: good,
              issuer: await makeAuthority('CN=Between', { issuer: world.authority, until: now() - 1000 }),
            }),
          'tls_client_auth: expired',
        ],
        ['the CA flag in a leaf', () => issued({ subject: good, ca: true }), 'tls_client_auth: ca_leaf'],
        ['an RSA key of 1024 bits', () => issued({ subject: good, alg: 'RSA-1024' }), 'tls_client_auth: weak_key'],
        [
          'a key on a curve that is not taken',
          () => issued({ subject: good, alg: 'P-521' }),
          'tls_client_auth: weak_key',
        ],
        [
          'a signature with SHA-1',
          () => issued({ subject: good, hash: 'SHA-1' }),
          'tls_client_auth: unsupported_algorithm',
        ],
        [
          'a certificate for servers',
          () => issued({ subject: good, purposes: ['1.3.6.1.5.5.7.3.1'] }),
          'tls_client_auth: extended_key_usage',
        ],
        [
          'a key that is not for signatures',
          () => issued({ subject: good, usages: ['keyEncipherment'] }),
          'tls_client_auth: key_usage',
        ],
        ['a subject that only begins like the right one', subject('CN=desk'), another],
        ['a subject that goes on after the right one', subject('C=DE,O=Example,CN=desk'), another],
        ['a subject with something before the right one', subject('O=Example,CN=desk,OU=x'), another],
        ['a subject in the other order', subject('CN=desk,O=Example'), another],
        ['a subject whose comma is inside of a value', subject('CN=desk\\,O\\=Example'), another],
        ['a subject whose parts are one part', subject('O=Example+CN=desk'), another],
        ['a subject with other capitals', subject('O=Example,CN=DESK'), another],
        ['a subject with a blank more', subject('O=Example,CN=desk\\ '), another],
        [
          'the right subject as a name of another kind',
          () => issued({ subject: 'CN=x', names: [['url', 'urn:CN=desk,O=Example']] }),
          another,
        ],
      ];
      for (const [sentence, make, reason] of rows) {
        test(sentence, async () => {
          const weak = { tls: { ciphers: 'DEFAULT:@SECLEVEL=0' } }; // or this client would not even show a weak key
          assertFailed(await world.token(await make(), { client_id: desk.clientId }, weak));
          assert.equal(world.lastReason(), reason);
        });
      }

      const mails: [string, Parameters<typeof makeCertificate>[0]][] = [
        ['the mailbox as a URI', { names: [['url', 'mailto:desk@example.com']] }],
        ['the mailbox as a DNS name', { names: [['dns', 'desk@example.com']] }],
        ['the mailbox as the common name', { subject: 'CN=desk@example.com' }],
        ['the mailbox in other capitals before the @', { names: [['email', 'Desk@example.com']] }],
        ['the mailbox of a host below', { names: [['email', 'desk@mail.example.com']] }],
      ];
      for (const [sentence, options] of mails) {
        test(sentence, async () => {
          assertFailed(await world.token(await issued(options), { client_id: mail.clientId }));
          assert.equal(world.lastReason(), another);
        });
      }

      test('a wildcard', async () => {
        const client = await registered('san_dns', 'wild.example.org');
        const certificate = await issued({ names: [['dns', '*.example.org']] });
        assertFailed(await world.token(certificate, { client_id: client.clientId }));
        assert.equal(world.lastReason(), another);
      });

      test('a credential that was removed', async () => {
        const client = await registered('san_dns', 'removed.example.com');
        const certificate = await issued({ names: [['dns', 'removed.example.com']] });
        await world.server.admin('DELETE', `/credentials/${client.added}`);
        assertFailed(await world.token(certificate, { client_id: client.clientId }));
      });

      test('a credential that has ended by itself', async () => {
        const expires_at = new Date(world.clock.now() + hour).toISOString();
        const value = 'ending.example.com';
        const subject = { field: 'san_dns', value, ca: world.authority.pem };
        const client = await world.agent({ kind: 'certificate_subject', subject, expires_at });
        const certificate = await issued({ names: [['dns', value]] });
        assert.equal((await world.token(certificate, { client_id: client.clientId })).status, 200);
        world.clock.advance(hour);
        assertFailed(await world.token(certificate, { client_id: client.clientId }));
      });
    });

    describe('is refused by self_signed_tls_client_auth', () => {
      test('another certificate of the same key and name', async () => {
        const { client, certificate } = await selfSigned();
        const again = await makeCertificate({ subject: 'CN=self', keys: certificate.keys });
        assertFailed(await world.token(again, { client_id: client.clientId }));
        assert.equal(world.lastReason(), 'no credential for this certificate');
      });

      test('the certificate of another agent', async () => {
        const { client } = await selfSigned();
        const { certificate } = await selfSigned();
        assertFailed(await world.token(certificate, { client_id: client.clientId }));
      });

      test('a registered certificate that is not valid yet', async () => {
        const { client, certificate } = await selfSigned({ from: world.clock.now() + 20_000 });
        assertFailed(await world.token(certificate, { client_id: client.clientId }));
        assert.equal(world.lastReason(), 'self_signed_tls_client_auth: not_yet_valid');
      });

      test('a registered certificate that has expired', async () => {
        const { client, certificate } = await selfSigned({ until: world.clock.now() + hour });
        assert.equal((await world.token(certificate, { client_id: client.clientId })).status, 200);
        world.clock.advance(hour + 1000);
        assertFailed(await world.token(certificate, { client_id: client.clientId }));
      });

      test('a credential that ended before its certificate', async () => {
        const certificate = await makeCertificate({ subject: 'CN=short' });
        const expires_at = new Date(world.clock.now() + hour).toISOString();
        const client = await world.agent({ kind: 'certificate', certificate: certificate.pem, expires_at });
        world.clock.advance(hour);
        assertFailed(await world.token(certificate, { client_id: client.clientId }));
      });

      test('a suspended agent, until it is resumed', async () => {
        const { client, certificate } = await selfSigned();
        await world.server.admin('POST', `/agents/${client.clientId}/suspend`);
        assert.notEqual((await world.token(certificate, { client_id: client.clientId })).status, 200);
        await world.server.admin('POST', `/agents/${client.clientId}/resume`);
        assert.equal((await world.token(certificate, { client_id: client.clientId })).status, 200);
      });
    });

    test('without a certificate a client_id proves nothing', async () => {
      const { client } = await selfSigned();
      const reply = await world.token(undefined, { client_id: client.clientId });
      assert.equal(reply.status, 401);
      assert.match(reply.json.error_description, /client authentication is needed: /);
    });

    test('without a client_id a certificate is not enough, and the answer says so', async () => {
      const { certificate } = await selfSigned();
      const reply = await world.token(certificate, {});
      assert.equal(reply.status, 401);
      assert.equal(reply.json.error, 'invalid_client');
      assert.match(reply.json.error_description, /with a certificate, say client_id/);
    });

    test('a certificate that nobody asked for proves nothing on the port for everybody', async () => {
      const { client } = await selfSigned();
      const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: client.clientId });
      const response = await fetch(`${world.server.issuer}/oauth2/token`, { method: 'POST', body });
      assert.equal(response.status, 401);
    });

    test('who exists is not told: strangers and acquaintances with a wrong certificate hear the same', async () => {
      const { client } = await selfSigned();
      const named = await registered('san_dns', 'known.example.com');
      const certificate = await issued({ names: [['dns', 'nobody.example.com']] });
      const answers = await Promise.all(
        [client.clientId, named.clientId, 'agt_00000000000000000000000000', 'nobody', 'spiffe://localhost/a/b'].map(
          async (client_id) => {
            const { status, headers, text } = await world.token(certificate, { client_id });
            const { date: _, 'dpop-nonce': __, ...others } = headers;
            return { status, others, text };
          },
        ),
      );
      for (const answer of answers) assert.deepEqual(answer, answers[0]);
    });

    test('metadata names the methods, the other addresses and the binding', async () => {
      const response = await fetch(`${world.server.issuer}/.well-known/oauth-authorization-server`);
      const json = (await response.json()) as Record<string, unknown>;
      const { mtlsUrl } = world.server;
      assert.equal(json.tls_client_certificate_bound_access_tokens, true);
      assert.deepEqual(json.mtls_endpoint_aliases, {
        token_endpoint: `${mtlsUrl}/oauth2/token`,
        introspection_endpoint: `${mtlsUrl}/oauth2/introspect`,
        revocation_endpoint: `${mtlsUrl}/oauth2/revoke`,
      });
      for (const name of ['token', 'introspection', 'revocation']) {
        assert.deepEqual(json[`${name}_endpoint_auth_methods_supported`], [
          'private_key_jwt',
          'spiffe_jwt',
          'tls_client_auth',
          'self_signed_tls_client_auth',
          'spiffe_x509',
        ]);
      }
    });
  });
}
