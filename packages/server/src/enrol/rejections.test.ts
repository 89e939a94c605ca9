/** What is refused when instances enrol, renew and have children: each with the right error, and nothing left of it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createDpopProof, publicJwk, thumbprint } from '@bailiwick/protocol';
import { makeRequest, type TestRequestOptions } from '../testing/certificate-request.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import {
  type EnrolOptions,
  type InstanceClient,
  instanceClient,
  newSigner,
  type Reply,
} from '../testing/instance-client.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

interface Scene {
  server: TestServer;
  client: TokenClient;
  at: InstanceClient;
  /** Another agent. */
  other: { client: TokenClient; at: InstanceClient };
}

type Row = [sentence: string, request: (scene: Scene) => Promise<Reply>, status: number, error: string, says?: RegExp];

const minutes = 60_000;

/** A proof put together by hand, with whatever header and claims. */
function crafted(scene: Scene, header: (jwk: object) => object, claims: object = {}, signs = true): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { url } = scene.at;
  const iat = Math.floor(scene.server.clock.now() / 1000);
  const all = { jti: Math.random().toString(36), htm: 'POST', htu: url, iat, ...claims };
  const head = { typ: 'dpop+jwt', alg: 'ES256', ...header(publicKey.export({ format: 'jwk' })) };
  const input = `${part(head)}.${part(all)}`;
  const signature = sign('sha256', Buffer.from(signs ? input : `${input}!`), {
    key: privateKey,
    dsaEncoding: 'ieee-p1363',
  });
  return `${input}.${signature.toString('base64url')}`;
}

const byKey = (options: (scene: Scene) => EnrolOptions | Promise<EnrolOptions>) => async (scene: Scene) =>
  scene.at.enrolByKey(await options(scene));
const byToken = (options: (scene: Scene) => EnrolOptions | Promise<EnrolOptions>) => async (scene: Scene) =>
  scene.at.enrol(await options(scene));
const withBody = (body: Record<string, unknown>) => byKey(() => ({ body }));
const withCsr = (options: TestRequestOptions, change = (pem: string) => pem) =>
  byKey(async () => ({ dpop: null, body: { csr: change((await makeRequest(options)).pem) } }));

const tokens: Row[] = [
  ['an enrolment token that nobody made', byToken(() => ({ token: `bwe_${'A'.repeat(43)}` })), 401, 'invalid_client'],
  ['an enrolment token of another form', byToken(() => ({ token: 'bwe_short' })), 401, 'invalid_client'],
  [
    'a client secret in the place of an enrolment token',
    byToken(() => ({ token: `bws_${'A'.repeat(43)}` })),
    401,
    'invalid_client',
  ],
  [
    'an enrolment token a second time',
    async ({ at }) => {
      const { secret } = await at.token();
      assert.equal((await at.enrol({ token: secret })).status, 201);
      return at.enrol({ token: secret });
    },
    401,
    'invalid_client',
  ],
  [
    'an expired enrolment token',
    async ({ at, server }) => {
      const { secret } = await at.token();
      server.clock.advance(61 * minutes);
      return at.enrol({ token: secret });
    },
    401,
    'invalid_client',
  ],
  [
    'a removed enrolment token',
    async ({ at, server }) => {
      const { id, secret } = await at.token();
      await server.admin('DELETE', `/credentials/${id}`);
      return at.enrol({ token: secret });
    },
    401,
    'invalid_client',
  ],
  [
    'an enrolment token of another agent',
    byToken(async ({ client, other }) => ({
      token: (await other.at.token()).secret,
      body: { client_id: client.clientId },
    })),
    401,
    'invalid_client',
  ],
  [
    'an enrolment token from outside of its addresses',
    byToken(async ({ at }) => ({ token: (await at.token({ addresses: ['10.0.0.0/8', '2001:db8::/32'] })).secret })),
    400,
    'unauthorized_client',
    /from this address/,
  ],
  [
    'an enrolment token beside client authentication',
    byToken(async ({ at }) => ({ body: await at.assertion() })),
    400,
    'invalid_request',
    /not both/,
  ],
  ['nothing that authenticates', byToken(() => ({ token: null })), 401, 'invalid_client'],
  [
    'an assertion a second time',
    async ({ at }) => {
      const body = await at.assertion();
      assert.equal((await at.enrol({ token: null, body })).status, 201);
      return at.enrol({ token: null, body });
    },
    401,
    'invalid_client',
  ],
  [
    'the assertion of an instance, which enrols children and no siblings',
    async ({ at }) => {
      const { signer } = await at.instance();
      return at.enrol({ token: null, body: await at.assertion(signer) });
    },
    400,
    'unauthorized_client',
    /children/,
  ],
];

const agents: Row[] = [
  [
    'a suspended agent, by its key',
    async ({ other, server }) => {
      await server.admin('POST', `/agents/${other.client.clientId}/suspend`, {});
      return other.at.enrolByKey();
    },
    400,
    'unauthorized_client',
    /suspended/,
  ],
  [
    'a suspended agent, by an enrolment token',
    async ({ other, server }) => {
      const { secret } = await other.at.token();
      await server.admin('POST', `/agents/${other.client.clientId}/suspend`, {});
      return other.at.enrol({ token: secret });
    },
    400,
    'unauthorized_client',
  ],
  [
    'a retired agent',
    async ({ other, server }) => {
      const { secret } = await other.at.token();
      await server.admin('POST', `/agents/${other.client.clientId}/retire`, {});
      return other.at.enrol({ token: secret });
    },
    401,
    'invalid_client',
  ],
];

const proofs: Row[] = [
  ['no proof of a key', byToken(() => ({ dpop: null })), 400, 'invalid_request', /prove a key/],
  [
    'two proofs',
    byToken(async ({ at }) => ({ headers: { dpop: `${await proofFor(at)}, ${await proofFor(at)}` } })),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a proof for another URL',
    byToken(({ at }) => ({ proof: { htu: `${at.url}/x` } })),
    400,
    'invalid_dpop_proof',
    /htu/,
  ],
  [
    'a proof for the token endpoint',
    byToken(({ server }) => ({ proof: { htu: `${server.issuer}/oauth2/token` } })),
    400,
    'invalid_dpop_proof',
  ],
  ['a proof for another method', byToken(() => ({ proof: { htm: 'GET' } })), 400, 'invalid_dpop_proof', /htm/],
  [
    'an old proof',
    byToken(({ server }) => ({ proof: { now: server.clock.now() - 5 * minutes } })),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a proof from the future',
    byToken(({ server }) => ({ proof: { now: server.clock.now() + minutes } })),
    400,
    'invalid_dpop_proof',
  ],
  ['a proof without ath', byToken(async ({ at }) => ({ dpop: await proofFor(at) })), 400, 'invalid_dpop_proof', /ath/],
  [
    'a proof for another enrolment token',
    byToken(({ at: _ }) => ({ proof: { accessToken: `bwe_${'B'.repeat(43)}` } })),
    400,
    'invalid_dpop_proof',
    /ath/,
  ],
  [
    'a proof a second time',
    async ({ at, server }) => {
      const signer = await newSigner();
      const dpop = await createDpopProof(signer, { htm: 'POST', htu: at.url, now: server.clock.now(), jti: 'once' });
      assert.equal((await at.enrolByKey({ dpop })).status, 201);
      return at.enrolByKey({ dpop });
    },
    400,
    'invalid_dpop_proof',
    /used before/,
  ],
  [
    'a proof with a wrong signature',
    byKey((scene) => ({ dpop: crafted(scene, (jwk) => ({ jwk }), {}, false) })),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a proof with its private key in the header',
    byKey((scene) => ({ dpop: crafted(scene, (jwk) => ({ jwk: { ...jwk, d: 'AAAA' } })) })),
    400,
    'invalid_dpop_proof',
    /private/,
  ],
  [
    'a proof with a symmetric key',
    byKey((scene) => ({ dpop: crafted(scene, () => ({ alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } })) })),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a proof without a signature',
    byKey((scene) => ({ dpop: crafted(scene, (jwk) => ({ alg: 'none', jwk })) })),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a proof with a certificate beside its key',
    byKey((scene) => ({ dpop: crafted(scene, (jwk) => ({ jwk, x5c: ['AAAA'] })) })),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a proof without a jti',
    byKey((scene) => ({ dpop: crafted(scene, (jwk) => ({ jwk }), { jti: undefined }) })),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a proof of another type',
    byKey((scene) => ({ dpop: crafted(scene, (jwk) => ({ typ: 'JWT', jwk })) })),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a proof by RSA of 1024 bits',
    byKey((scene) => {
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
      return { dpop: crafted(scene, () => ({ alg: 'PS256', jwk: publicKey.export({ format: 'jwk' }) })) };
    }),
    400,
    'invalid_dpop_proof',
    /bits/,
  ],
  [
    'the key of the agent itself',
    byKey(({ client }) => ({ signer: client.signer })),
    400,
    'invalid_request',
    /new one/,
  ],
  [
    'the key of another agent',
    byKey(({ other }) => ({ signer: other.client.signer })),
    400,
    'invalid_request',
    /new one/,
  ],
  [
    'the key of a living instance',
    byKey(async ({ at }) => ({ signer: (await at.instance()).signer })),
    400,
    'invalid_request',
    /new one/,
  ],
  [
    'the key of an instance that has ended',
    byKey(async ({ at }) => {
      const instance = await at.instance();
      await at.call(instance, 'DELETE');
      return { signer: instance.signer };
    }),
    400,
    'invalid_request',
  ],
];

const proofFor = async (at: InstanceClient) => at.proofBy(await newSigner(), 'POST', at.url);

const bodies: Row[] = [
  ['a member that nobody knows', withBody({ lifetime: 60 }), 400, 'invalid_request', /lifetime is not known/],
  ['no JSON', byToken(() => ({ body: '{' })), 400, 'invalid_request', /JSON/],
  ['a list', byToken(() => ({ body: '[]' })), 400, 'invalid_request'],
  [
    'a form',
    byToken(() => ({ body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } })),
    415,
    'invalid_request',
  ],
  ['a body that is too large', withBody({ attributes: { image: 'x'.repeat(70_000) } }), 413, 'invalid_request'],
  ['JSON that is too deep', byToken(() => ({ body: `${'['.repeat(40)}${']'.repeat(40)}` })), 400, 'invalid_request'],
  ['a prototype', byToken(() => ({ body: '{"__proto__":{"a":1}}' })), 400, 'invalid_request'],
  ['a NUL', byToken(() => ({ body: '{"attributes":{"zone":"a\\u0000"}}' })), 400, 'invalid_request'],
  ['too long a life', withBody({ lifetime_seconds: 3601 }), 400, 'invalid_request', /at most 3600/],
  ['a life of more than a day', withBody({ lifetime_seconds: 86_401 }), 400, 'invalid_request'],
  ['a life of nothing', withBody({ lifetime_seconds: 0 }), 400, 'invalid_request'],
  ['a life of half seconds', withBody({ lifetime_seconds: 60.5 }), 400, 'invalid_request'],
  [
    'an address that it says itself',
    withBody({ attributes: { address: '10.0.0.1' } }),
    400,
    'invalid_request',
    /server sees/,
  ],
  ['an attribute of a strange name', withBody({ attributes: { 'Zone!': 'x' } }), 400, 'invalid_request'],
  [
    'an attribute that is no text',
    withBody({ attributes: { zone: { value: 'x', provenance: 'attested' } } }),
    400,
    'invalid_request',
  ],
  [
    'too many attributes',
    withBody({ attributes: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`a${n}`, 'x'])) }),
    400,
    'invalid_request',
  ],
  [
    'an attribute that contradicts the enrolment token',
    byToken(async ({ at }) => ({
      token: (await at.token({ attributes: { zone: 'eu-1' } })).secret,
      body: { attributes: { zone: 'us-1' } },
    })),
    400,
    'invalid_request',
    /contradicts/,
  ],
  ['too many audiences', withBody({ jwt_svid_audiences: Array(9).fill('https://a.example') }), 400, 'invalid_request'],
  [
    'a token for a resource that it was not given',
    withBody({ token: { resource: 'https://unknown.example' } }),
    400,
    'invalid_target',
  ],
  ['a token with a scope that no role gives', withBody({ token: { scope: 'tickets:delete' } }), 400, 'invalid_scope'],
  ['a token with members that nobody knows', withBody({ token: { grant_type: 'password' } }), 400, 'invalid_request'],
];

const requests: Row[] = [
  ['a csr that is none', withBody({ csr: 'hello' }), 400, 'invalid_request'],
  [
    'a csr that is a certificate',
    withCsr({}, (pem) => pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')),
    400,
    'invalid_request',
  ],
  ['two of them', withCsr({}, (pem) => `${pem}\n${pem}`), 400, 'invalid_request'],
  [
    'a csr that was changed after it was signed',
    withCsr({ subject: 'CN=desk' }, (pem) => flipped(pem)),
    400,
    'invalid_request',
  ],
  ['a csr for another subject', withCsr({ subject: 'CN=root' }), 400, 'unauthorized_client', /subject/],
  ['a csr for an organization', withCsr({ subject: 'O=Bailiwick' }), 400, 'unauthorized_client'],
  [
    'a csr for a SPIFFE ID of another agent',
    withCsr({ names: [['url', 'spiffe://localhost/default/operator']] }),
    400,
    'unauthorized_client',
    /URI/,
  ],
  [
    'a csr for a SPIFFE ID of another trust domain',
    withCsr({ names: [['url', 'spiffe://evil.example/a/b']] }),
    400,
    'unauthorized_client',
  ],
  [
    'a csr for a DNS name that the template does not have',
    withCsr({ names: [['dns', 'www.example.com']] }),
    400,
    'unauthorized_client',
    /template/,
  ],
  ['a csr for an address', withCsr({ names: [['ip', '10.0.0.1']] }), 400, 'unauthorized_client'],
  ['a csr for a mailbox', withCsr({ names: [['email', 'a@example.com']] }), 400, 'unauthorized_client'],
  ['a csr for an authority', withCsr({ ca: true }), 400, 'unauthorized_client', /more than names/],
  ['a csr that wants to sign certificates', withCsr({ usages: true }), 400, 'unauthorized_client', /more than names/],
  ['a csr with a password', withCsr({ password: 'sesame' }), 400, 'unauthorized_client'],
  ['a csr by RSA of 1024 bits', withCsr({ alg: 'RSA-1024' }), 400, 'invalid_request'],
  ['a csr by a curve that tokens are not signed with', withCsr({ alg: 'ES384' }), 400, 'invalid_request'],
  [
    'a csr and a proof by two keys',
    byKey(async () => ({ body: { csr: (await makeRequest()).pem } })),
    400,
    'invalid_request',
    /two keys/,
  ],
];

/** The same PEM with one bit of the signature flipped. */
function flipped(pem: string): string {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  der[der.length - 1] = (der[der.length - 1] as number) ^ 1;
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
}

const renewals: Row[] = [
  [
    'a renewal by another key',
    async ({ at }) => at.call({ id: (await at.instance()).id, signer: await newSigner() }, 'POST', '/renew', {}),
    401,
    'invalid_client',
  ],
  [
    'a renewal by the key of the agent',
    async ({ at, client }) => at.call({ id: (await at.instance()).id, signer: client.signer }, 'POST', '/renew', {}),
    401,
    'invalid_client',
  ],
  [
    'a renewal by another instance',
    async ({ at }) =>
      at.call({ id: (await at.instance()).id, signer: (await at.instance()).signer }, 'POST', '/renew', {}),
    401,
    'invalid_client',
  ],
  [
    'a renewal by its parent',
    async ({ at }) => {
      const parent = await at.instance();
      const child = await at.child(parent);
      return at.call({ id: child.id, signer: parent.signer }, 'POST', '/renew', {});
    },
    401,
    'invalid_client',
  ],
  [
    'a renewal of one that never was',
    async ({ at }) => at.call({ id: `ins_${'0'.repeat(26)}`, signer: await newSigner() }, 'POST', '/renew', {}),
    401,
    'invalid_client',
  ],
  [
    'a renewal after its end',
    async ({ at, server }) => {
      const instance = await at.instance({ body: { lifetime_seconds: 60 } });
      server.clock.advance(61_000);
      return at.call(instance, 'POST', '/renew', {});
    },
    401,
    'invalid_client',
    /has ended/,
  ],
  [
    'a renewal after it was ended',
    async ({ at }) => {
      const instance = await at.instance();
      await at.call(instance, 'DELETE');
      return at.call(instance, 'POST', '/renew', {});
    },
    401,
    'invalid_client',
    /has ended/,
  ],
  [
    'a renewal with a proof that was used before',
    async ({ at }) => {
      const instance = await at.instance();
      const dpop = await at.proofBy(instance.signer, 'POST', `${at.url}/${instance.id}/renew`);
      assert.equal((await at.call(instance, 'POST', '/renew', {}, { dpop })).status, 200);
      return at.call(instance, 'POST', '/renew', {}, { dpop });
    },
    400,
    'invalid_dpop_proof',
  ],
  [
    'a renewal with a proof for something else',
    async ({ at }) => {
      const instance = await at.instance();
      const dpop = await at.proofBy(instance.signer, 'POST', `${at.url}/${instance.id}/children`);
      return at.call(instance, 'POST', '/renew', {}, { dpop });
    },
    400,
    'invalid_dpop_proof',
  ],
  [
    'a renewal with attributes',
    async ({ at }) => at.call(await at.instance(), 'POST', '/renew', { attributes: { zone: 'x' } }),
    400,
    'invalid_request',
  ],
  [
    'a renewal for too long',
    async ({ at }) => at.call(await at.instance(), 'POST', '/renew', { lifetime_seconds: 7200 }),
    400,
    'invalid_request',
  ],
  [
    'a renewal with the key of another instance',
    async ({ at }) => {
      const { pem } = await makeRequest();
      assert.equal((await at.enrolByKey({ dpop: null, body: { csr: pem } })).status, 201);
      return at.call(await at.instance(), 'POST', '/renew', { csr: pem });
    },
    400,
    'invalid_request',
    /new one/,
  ],
  [
    'a renewal by the key that it had before',
    async ({ at }) => {
      const instance = await at.instance();
      const { pem } = await makeRequest();
      assert.equal((await at.call(instance, 'POST', '/renew', { csr: pem })).status, 200);
      return at.call(instance, 'POST', '/renew', {});
    },
    401,
    'invalid_client',
  ],
  [
    'a renewal without a proof',
    async ({ at }) => at.send('POST', `${at.url}/${(await at.instance()).id}/renew`, {}, {}),
    401,
    'invalid_client',
  ],
  [
    'an end by another key',
    async ({ at }) => at.call({ id: (await at.instance()).id, signer: await newSigner() }, 'DELETE'),
    401,
    'invalid_client',
  ],
  [
    'an end by its child',
    async ({ at }) => {
      const parent = await at.instance();
      return at.call({ id: parent.id, signer: (await at.child(parent)).signer }, 'DELETE');
    },
    401,
    'invalid_client',
  ],
  [
    'a look by another instance',
    async ({ at }) => at.call({ id: (await at.instance()).id, signer: (await at.instance()).signer }, 'GET'),
    401,
    'invalid_client',
  ],
];

const children: Row[] = [
  [
    'a child with a scope that no role gives',
    async ({ at, client }) =>
      at.child(await at.instance(), { allowed: [{ resource: client.identifier, scope: 'tickets:delete' }] }),
    400,
    'invalid_scope',
  ],
  [
    'a child with a resource that the agent was not given',
    async ({ at, other }) =>
      at.child(await at.instance(), { allowed: [{ resource: other.client.identifier, scope: 'tickets:read' }] }),
    400,
    'invalid_target',
  ],
  [
    'a resource named twice',
    async ({ at, client }) => {
      const one = { resource: client.identifier, scope: 'tickets:read' };
      return at.child(await at.instance(), { allowed: [one, { ...one, resource: client.resource }] });
    },
    400,
    'invalid_request',
  ],
  [
    'a child of a child, deeper than the template',
    async ({ at }) => at.child(await asParent(at)),
    400,
    'unauthorized_client',
    /deep/,
  ],
  [
    'a child without a key',
    async ({ at }) => at.child(await at.instance(), { proof: undefined }),
    400,
    'invalid_request',
    /prove the key/,
  ],
  [
    'a child with the key of its parent',
    async ({ at }) => {
      const parent = await at.instance();
      return at.child(parent, {}, parent.signer);
    },
    400,
    'invalid_request',
  ],
  [
    'a child with a proof for something else',
    async ({ at }) => at.child(await at.instance(), { proof: await proofFor(at) }),
    400,
    'invalid_dpop_proof',
  ],
  [
    'a child with a proof that was used before',
    async ({ at }) => {
      const parent = await at.instance();
      const proof = await at.proofBy(await newSigner(), 'POST', `${at.url}/${parent.id}/children`);
      assert.equal((await at.child(parent, { name: 'a', proof })).status, 201);
      return at.child(parent, { name: 'b', proof });
    },
    400,
    'invalid_dpop_proof',
  ],
  [
    'a child without a name',
    async ({ at }) => at.child(await at.instance(), { name: '' }),
    400,
    'invalid_request',
    /name/,
  ],
  [
    'a child of somebody else',
    async ({ at }) => at.child({ ...(await at.instance()), id: (await at.instance()).id }),
    401,
    'invalid_client',
  ],
  [
    'a child of one that has ended',
    async ({ at }) => {
      const parent = await at.instance();
      await at.call(parent, 'DELETE');
      return at.child(parent);
    },
    401,
    'invalid_client',
  ],
];

const asParent = async (at: InstanceClient) => {
  const child = await at.child(await at.instance());
  assert.equal(child.status, 201, JSON.stringify(child.body));
  return { id: child.id, signer: child.signer, answer: child.body };
};

const tables: [string, Row[]][] = [
  ['enrolment tokens and authentication', tokens],
  ['agents', agents],
  ['proofs and keys', proofs],
  ['bodies', bodies],
  ['certificate requests', requests],
  ['renewals and ends', renewals],
  ['children', children],
];

for (const database of databases) {
  describe(`is refused, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    const scene = async (): Promise<Scene> => {
      const [client, other] = [await tokenClient(server), await tokenClient(server)];
      return {
        server,
        client,
        at: instanceClient(server, client),
        other: { client: other, at: instanceClient(server, other) },
      };
    };

    for (const [what, rows] of tables) {
      describe(what, () => {
        let shared: Scene;
        before(async () => {
          shared = await scene();
        });
        for (const [sentence, request, status, error, says] of rows) {
          test(sentence, async () => {
            if (what === 'agents') shared = await scene(); // they end
            const { status: heard, headers, body } = await request(shared);
            assert.equal(heard, status, JSON.stringify(body));
            assert.equal(body.error, error, JSON.stringify(body));
            if (says) assert.match(body.error_description, says);
            assert.doesNotMatch(JSON.stringify(body), /bwe_[A-Za-z0-9_-]{43}|eyJ/, 'no secret comes back');
            assert.equal(headers.get('cache-control'), 'no-store');
            if (status === 401) assert.match(headers.get('www-authenticate') ?? '', /DPoP/);
          });
        }
      });
    }

    test('an enrolment token that ten share enrols exactly one', async () => {
      const { at } = await scene();
      const { secret } = await at.token();
      const all = await Promise.all(Array.from({ length: 10 }, () => at.prepared({ token: secret })));
      const statuses = (await Promise.all(all.map(({ send }) => send()))).map(({ status }) => status);
      assert.deepEqual(statuses.sort(), [201, ...Array(9).fill(401)]);
    });

    test('one key that ten enrol at once enrols exactly one, and each of the others keeps its token', async () => {
      const { at } = await scene();
      const signer = await newSigner();
      const tokens = await Promise.all(Array.from({ length: 10 }, async () => (await at.token()).secret));
      const all = await Promise.all(tokens.map((token) => at.prepared({ token, signer })));
      const statuses = (await Promise.all(all.map(({ send }) => send()))).map(({ status }) => status);
      assert.deepEqual(statuses.sort(), [201, ...Array(9).fill(400)]);
      const again = await Promise.all(tokens.map((token) => at.enrol({ token })));
      assert.deepEqual(again.map(({ status }) => status).sort(), [...Array(9).fill(201), 401]);
    });

    test('ten children of one name at once: exactly one', async () => {
      const { at } = await scene();
      const parent = await at.instance();
      const all = await Promise.all(Array.from({ length: 10 }, () => at.child(parent, { name: 'twin' })));
      assert.deepEqual(all.map(({ status }) => status).sort(), [201, ...Array(9).fill(400)]);
    });

    test('ten renewals at once with ten proofs all hold, and with one proof exactly one', async () => {
      const { at } = await scene();
      const instance = await at.instance();
      const all = await Promise.all(Array.from({ length: 10 }, () => at.call(instance, 'POST', '/renew', {})));
      assert.ok(all.every(({ status }) => status === 200 || status === 503));
      const dpop = await at.proofBy(instance.signer, 'POST', `${at.url}/${instance.id}/renew`);
      const same = await Promise.all(
        Array.from({ length: 10 }, () => at.call(instance, 'POST', '/renew', {}, { dpop })),
      );
      assert.deepEqual(same.map(({ status }) => status).sort(), [200, ...Array(9).fill(400)]);
    });

    test('what is refused to somebody known is on record, with its reason and without what was sent', async () => {
      const { at, client } = await scene();
      await at.enrolByKey({ body: { attributes: { note: 'confidential-note' }, token: { scope: 'tickets:delete' } } });
      // biome-ignore lint/suspicious/noExplicitAny: an event, looked at from outside
      const { items } = await server.admin<{ items: any[] }>(
        'GET',
        `/events?agent=${client.clientId}&type=instance.refused`,
      );
      assert.equal(items.length, 1);
      assert.match(items[0].reason, /no role of this agent gives tickets:delete/);
      assert.equal(items[0].decided_on.error, 'invalid_scope');
      assert.deepEqual(items[0].decided_on.asked.attributes, ['note']);
      assert.doesNotMatch(JSON.stringify(items), /confidential-note/);
    });

    test('a secret stands in no table, and a used token is counted, not written', async () => {
      const { at, client } = await scene();
      const { secret } = await at.token();
      await at.enrol({ token: secret });
      await at.enrol({ token: secret });
      const { items } = await server.admin<{ items: object[] }>(
        'GET',
        `/events?agent=${client.clientId}&outcome=refused`,
      );
      assert.deepEqual(items, []);
      for (const table of ['credentials', 'instances', 'events', 'personal', 'idempotency']) {
        const rows = await server.deps.db.all(`select * from ${table}`);
        assert.ok(!JSON.stringify(rows).includes(secret), table);
      }
      const counted = [...server.deps.failures.counts.values()].map(({ reason }) => reason).join();
      assert.match(counted, /enrolment token crd_[0-9a-z]+ was used before/);
    });

    test('what the template demands must be known, from where it says, and be what it says', async () => {
      const agent = {
        instances: { attributes: [{ name: 'zone', provenance: 'orchestrated', values: ['eu-1'] }] },
      };
      const own = instanceClient(server, await tokenClient(server, { agent }));
      const enrolled = async (attributes: object, declared: object = {}) =>
        (await own.enrol({ token: (await own.token({ attributes })).secret, body: { attributes: declared } })).status;
      assert.equal(await enrolled({}), 400, 'not known');
      assert.equal(await enrolled({}, { zone: 'eu-1' }), 400, 'said by the instance itself');
      assert.equal(await enrolled({ zone: 'us-1' }), 400, 'of another value');
      assert.equal(await enrolled({ zone: 'eu-1' }), 201);
      const near = {
        instances: { attributes: [{ name: 'address', provenance: 'observed', values: ['127.0.0.0/8', '::1'] }] },
      };
      assert.equal((await instanceClient(server, await tokenClient(server, { agent: near })).enrolByKey()).status, 201);
      const far = { instances: { attributes: [{ name: 'address', provenance: 'observed', values: ['10.0.0.0/8'] }] } };
      assert.equal((await instanceClient(server, await tokenClient(server, { agent: far })).enrolByKey()).status, 400);
    });

    test('a template that became narrower ends nothing, and is what renewals go by', async () => {
      const { at, client } = await scene();
      const instance = await at.instance();
      await server.admin('PATCH', `/agents/${client.clientId}`, { instances: { lifetime_seconds: 60 } });
      assert.equal((await at.call(instance, 'GET')).status, 200);
      const { body } = await at.call(instance, 'POST', '/renew', {});
      assert.equal(body.expires_at, new Date(server.clock.now() + minutes).toISOString());
      await server.admin('PATCH', `/agents/${client.clientId}`, {
        instances: { attributes: [{ name: 'image', provenance: 'declared' }] },
      });
      assert.equal((await at.call(instance, 'POST', '/renew', {})).body.error, 'unauthorized_client');
      assert.equal((await at.call(instance, 'GET')).status, 200);
    });

    test('the log names keys by their thumbprints', async () => {
      const { at } = await scene();
      const { id, signer } = await at.instance();
      // biome-ignore lint/suspicious/noExplicitAny: an event, looked at from outside
      const { items } = await server.admin<{ items: any[] }>('GET', `/events?target=${id}`);
      assert.equal(items[0].decided_on.key, thumbprint(publicJwk(signer.publicJwk)));
      assert.equal(items[0].instance, id);
    });
  });
}
