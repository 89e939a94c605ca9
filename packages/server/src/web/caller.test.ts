import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { createDpopProof, generateJwk, parseChallenges, publicJwk, signerFrom } from '@bailiwick/protocol';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

type Headers = Record<string, string>;

for (const database of databases) {
  describe(`who is calling (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let url: string;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      url = `${server.issuer}/admin/v1/agents`;
    });
    after(() => server.close());

    const good = async (): Promise<Headers> => {
      const accessToken = await operator.token();
      const dpop = await operator.proof({ htm: 'GET', htu: url, accessToken });
      return { authorization: `DPoP ${accessToken}`, dpop };
    };

    const refused: [what: string, change: (headers: Headers) => Promise<Headers>, error: string | undefined][] = [
      ['nothing at all', async () => ({}), undefined],
      ['a proof without a token', async ({ dpop }) => ({ dpop: dpop as string }), undefined],
      [
        'the Bearer scheme',
        async (h) => ({ ...h, authorization: h.authorization!.replace('DPoP', 'Bearer') }),
        'invalid_token',
      ],
      ['another scheme', async (h) => ({ ...h, authorization: 'Basic b3BlcmF0b3I6' }), 'invalid_token'],
      ['a scheme alone', async (h) => ({ ...h, authorization: 'DPoP' }), 'invalid_token'],
      ['no token but words', async (h) => ({ ...h, authorization: 'DPoP hello' }), 'invalid_token'],
      ['two tokens', async (h) => ({ ...h, authorization: `${h.authorization}, ${h.authorization}` }), 'invalid_token'],
      [
        'a token whose signature was touched',
        async (h) => ({ ...h, authorization: touched(h.authorization!) }),
        'invalid_token',
      ],
      [
        'a token with alg none',
        async (h) => ({ ...h, authorization: `DPoP ${unsigned(h.authorization!)}` }),
        'invalid_token',
      ],
      [
        'a token signed by somebody else',
        async (h) => ({ ...h, authorization: `DPoP ${resigned(h.authorization!)}` }),
        'invalid_token',
      ],
      ['no proof', async ({ authorization }) => ({ authorization: authorization as string }), 'invalid_dpop_proof'],
      ['a proof that is none', async (h) => ({ ...h, dpop: 'hello' }), 'invalid_dpop_proof'],
      ['two proofs', async (h) => ({ ...h, dpop: `${h.dpop}, ${h.dpop}` }), 'invalid_dpop_proof'],
      [
        'a proof for another method',
        async (h) => ({ ...h, dpop: await proofFor({ htm: 'POST' }) }),
        'invalid_dpop_proof',
      ],
      [
        'a proof for another path',
        async (h) => ({ ...h, dpop: await proofFor({ htu: `${server.issuer}/admin/v1/roles` }) }),
        'invalid_dpop_proof',
      ],
      [
        'a proof for another host',
        async (h) => ({ ...h, dpop: await proofFor({ htu: 'https://evil.example/admin/v1/agents' }) }),
        'invalid_dpop_proof',
      ],
      [
        'a proof without the hash of the token',
        async (h) => ({ ...h, dpop: await operator.proof({ htm: 'GET', htu: url }) }),
        'invalid_dpop_proof',
      ],
      [
        'a proof for another token',
        async (h) => ({ ...h, dpop: await proofFor({ accessToken: 'another' }) }),
        'invalid_dpop_proof',
      ],
      [
        'a proof of last week',
        async (h) => ({ ...h, dpop: await proofFor({ now: server.clock.now() - 61_000 }) }),
        'invalid_dpop_proof',
      ],
      [
        'a proof of next week',
        async (h) => ({ ...h, dpop: await proofFor({ now: server.clock.now() + 7_000 }) }),
        'invalid_dpop_proof',
      ],
      ['a proof by another key', async (h) => ({ ...h, dpop: await strangersProof() }), 'invalid_token'],
    ];

    const proofFor = async (claims: { htm?: string; htu?: string; accessToken?: string; now?: number }) =>
      operator.proof({ htm: 'GET', htu: url, accessToken: await operator.token(), ...claims });

    const strangersProof = async () =>
      createDpopProof(signerFrom(await generateJwk('ES256')), {
        htm: 'GET',
        htu: url,
        now: server.clock.now(),
        jti: crypto.randomUUID(),
        accessToken: await operator.token(),
      });

    for (const [what, change, error] of refused) {
      test(`refused: ${what}`, async () => {
        const response = await fetch(url, { headers: await change(await good()) });
        assert.equal(response.status, 401);
        assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json\b/);
        const [challenge] = parseChallenges(response.headers.get('www-authenticate') ?? '');
        assert.equal(challenge?.scheme, 'DPoP');
        assert.equal(challenge.params.error, error);
        assert.equal(challenge.params.resource_metadata, `${server.issuer}/.well-known/oauth-protected-resource/admin`);
        assert.equal((await fetch(url, { headers: await good() })).status, 200, 'and without the fault it is accepted');
      });
    }

    test('a proof works once', async () => {
      const headers = await good();
      const answers = await Promise.all(Array.from({ length: 10 }, () => fetch(url, { headers })));
      const statuses = answers.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [200, ...Array(9).fill(401)]);
    });

    test('a token that has expired or was revoked is refused', async () => {
      const client = await administrator(server, operator, { scopes: ['agents:read'] });
      const accessToken = await client.token();
      const headers = async () => ({
        authorization: `DPoP ${accessToken}`,
        dpop: await client.proof({ htm: 'GET', htu: url, accessToken }),
      });
      assert.equal((await fetch(url, { headers: await headers() })).status, 200);
      await operator.ok('POST', `/agents/${client.agent}/suspend`);
      assert.equal((await fetch(url, { headers: await headers() })).status, 401);
      await operator.ok('POST', `/agents/${client.agent}/resume`);
      assert.equal((await fetch(url, { headers: await headers() })).status, 401, 'what ended stays dead');
      const fresh = adminClient(server, { client_id: client.agent, jwk: client.jwk });
      const later = await fresh.token();
      server.clock.advance(600_000);
      const dpop = await fresh.proof({ htm: 'GET', htu: url, accessToken: later });
      const response = await fetch(url, { headers: { authorization: `DPoP ${later}`, dpop } });
      assert.match(response.headers.get('www-authenticate') ?? '', /expired/);
    });

    test('a token for another resource is refused, though we signed it', async () => {
      const [team] = (await operator.ok('GET', '/teams?name=operators')).items;
      const resource = await operator.ok('POST', '/resources', {
        identifier: 'https://other.example',
        name: 'Other',
        scopes: [{ name: 'agents:read' }],
      });
      const permissions = [{ resource: resource.id, scopes: ['agents:read'] }];
      const role = await operator.ok('POST', '/roles', { name: 'other', permissions });
      const agent = await operator.ok('POST', '/agents', {
        name: 'other',
        kind: 'workload',
        owner: team.id,
        resources: [{ resource: resource.id, default: true, scope: ['agents:read'] }],
      });
      await operator.ok('PUT', `/agents/${agent.id}/roles/${role.id}`);
      const jwk = await generateJwk('ES256');
      await operator.ok('POST', '/credentials', { agent: agent.id, jwk: publicJwk(jwk) });
      const client = adminClient(server, { client_id: agent.id, jwk });
      const accessToken = await client.token('https://other.example');
      const dpop = await client.proof({ htm: 'GET', htu: url, accessToken });
      const response = await fetch(url, { headers: { authorization: `DPoP ${accessToken}`, dpop } });
      assert.equal(response.status, 401);
      assert.match(response.headers.get('www-authenticate') ?? '', /another resource/);
    });

    test('a Host header changes nothing: what counts is the issuer', async () => {
      const accessToken = await operator.token();
      const dpop = await operator.proof({ htm: 'GET', htu: 'http://evil.example/admin/v1/agents', accessToken });
      const headers = { authorization: `DPoP ${accessToken}`, dpop, host: 'evil.example' };
      assert.equal(await rawStatus(url, headers), 401);
      assert.equal(await rawStatus(url, { ...(await good()), host: 'evil.example' }), 200);
    });

    test('strangers do not get to send a body', async () => {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: 'x'.repeat(1_000_000),
      }).catch(() => undefined); // the connection may be closed while they still send
      if (response) assert.equal(response.status, 401);
    });

    test('metadata says how (RFC 9728)', async () => {
      const response = await fetch(`${server.issuer}/.well-known/oauth-protected-resource/admin`);
      const metadata = (await response.json()) as Record<string, unknown>;
      assert.equal(metadata.resource, `${server.issuer}/admin`);
      assert.deepEqual(metadata.authorization_servers, [server.issuer]);
      assert.equal(metadata.dpop_bound_access_tokens_required, true);
      assert.ok((metadata.scopes_supported as string[]).includes('agents:write'));
    });
  });
}

const touched = (authorization: string) => {
  const at = authorization.length - 20;
  return authorization.slice(0, at) + (authorization[at] === 'A' ? 'B' : 'A') + authorization.slice(at + 1);
};

const parts = (authorization: string) => authorization.slice('DPoP '.length).split('.') as [string, string, string];

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

function unsigned(authorization: string): string {
  const [, payload, signature] = parts(authorization);
  return `${encode({ alg: 'none', typ: 'at+jwt' })}.${payload}.${signature}`;
}

function resigned(authorization: string): string {
  const [header, payload] = parts(authorization);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' as const };
  return `${header}.${payload}.${sign('sha256', Buffer.from(`${header}.${payload}`), key).toString('base64url')}`;
}

/** `fetch` doesn't let one choose the Host header. */
function rawStatus(url: string, headers: Headers): Promise<number> {
  return new Promise((resolve, reject) => {
    httpRequest(url, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}
