/** What is refused when instances enrol: who asks, with which proof and key, with which body. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { createDpopProof } from '@bailiwick/protocol';
import { type InstanceClient, newSigner } from '../testing/instance-client.ts';
import { byKey, byToken, type Row, refuses, type Scene } from '../testing/instance-refusals.ts';

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

const withBody = (body: Record<string, unknown>) => byKey(() => ({ body }));

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

refuses([
  { what: 'enrolment tokens and authentication', rows: tokens },
  { what: 'agents', rows: agents, anew: true },
  { what: 'proofs and keys', rows: proofs },
  { what: 'bodies', rows: bodies },
]);
