/** Every way in which a request can be wrong: what it is answered, and what the operator reads. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import {
  accessTokenHash,
  encodeHeader,
  generateJwk,
  type PrivateJwk,
  parseChallenges,
  publicJwk,
  sha256Base64url,
  signerFrom,
  signWith,
  thumbprint,
} from '@bailiwick/protocol';
import { createGuard, type Decision, type DecisionRecord, type GuardRequest } from './index.ts';
import { type FakeAgent, type FakeIssuer, fakeAgent, fakeIssuer, issuer, resource } from './testing/fake-issuer.ts';

interface World {
  fake: FakeIssuer;
  agent: FakeAgent;
  /** Seconds since 1970. */
  now: number;
}
type Make = (world: World) => GuardRequest | Promise<GuardRequest>;

/** The hour after the present one, in UTC. @param now seconds since 1970 */
function hourAfter(now: number): { from: string; to: string } {
  const at = (hours: number) => new Date((now + hours * 3600) * 1000).toISOString().slice(11, 16);
  return { from: at(1), to: at(2) };
}

const foreign = await generateJwk('ES256');
const leaf = { jku: 'https://evil.example/jwks', x5u: 'https://evil.example/cert' };

const refused = (
  title: string,
  status: number,
  error: string | undefined,
  rows: [what: string, make: Make, reason: string][],
) => {
  for (const [what, make, reason] of rows)
    test(`refused, ${title}: ${what}`, () => isRefused(make, status, error, reason));
};

refused('where the token belongs', 401, undefined, [
  ['no credentials', () => bare({}), 'no Authorization header'],
  ['credentials of another scheme', () => bare({ authorization: ['Basic YTpi'] }), 'another scheme'],
]);

refused('where the token belongs', 400, 'invalid_request', [
  ['a scheme without a token', () => bare({ authorization: ['DPoP'] }), 'no token'],
  ['a scheme and spaces', () => bare({ authorization: ['DPoP   '] }), 'no token'],
  ['an empty Authorization header', () => bare({ authorization: [''] }), 'no single token'],
  ['two Authorization headers', authorization((token) => [`DPoP ${token}`, 'Bearer x']), 'two Authorization headers'],
  ['the same header twice', authorization((token) => [`DPoP ${token}`, `DPoP ${token}`]), 'two Authorization headers'],
  ['two headers joined on the way', authorization((token) => [`DPoP ${token}, Bearer ${token}`]), 'no single token'],
  ['two tokens in one header', authorization((token) => [`DPoP ${token} ${token}`]), 'no single token'],
  [
    'a token in the query only',
    async ({ agent }) => bare({}, `/v1/tickets?access_token=${await agent.token()}`),
    'token in the URL',
  ],
  [
    'a token in the query, too',
    changed((_, token) => ({ url: `/v1/tickets?a=1&access_token=${token}` })),
    'token in the URL',
  ],
  ['a token in the query, half escaped', changed(() => ({ url: '/v1/tickets?access%5Ftoken=x' })), 'token in the URL'],
  ['a header of 20,000 characters', () => bare({ authorization: [`DPoP ${'a'.repeat(20_000)}`] }), 'too long'],
  ['a path that can be misread', changed(() => ({ url: '/v1/x/..%2ftickets' })), 'ambiguous path'],
  ['an absolute URL', changed(() => ({ url: `${resource}/tickets` })), 'ambiguous path'],
]);

refused('a token that is not of the issuer', 401, 'invalid_token', [
  ['no JWT', authorization(() => ['DPoP opaque']), 'malformed'],
  ['a JWT of four parts', authorization((token) => [`DPoP ${token}.x`]), 'malformed'],
  [
    'a changed payload',
    parts((head, _, signature) => [head, encode({ iss: issuer, aud: resource, scope: 'tickets:purge' }), signature]),
    'bad_signature',
  ],
  ['no signature', parts((head, payload) => [head, payload, '']), 'malformed'],
  ['alg none', parts((_, payload) => [encode({ alg: 'none', typ: 'at+jwt' }), payload, '']), 'malformed'],
  [
    'alg none with a signature',
    parts((_, payload) => [encode({ alg: 'none', typ: 'at+jwt' }), payload, 'AAAA']),
    'unsupported_algorithm',
  ],
  ['HMAC with the public key', hmacWithPublicKey, 'unsupported_algorithm'],
  [
    'another key under a kid of ours',
    (world) => header({ kid: world.fake.keys[0]!.kid }, foreign)(world),
    'bad_signature',
  ],
  ['a kid that nobody knows', header({ kid: 'unknown' }), 'unknown_kid'],
  ['no kid', header({ kid: undefined }), 'no_kid'],
  ['its own key in the header', header({ jwk: publicJwk(foreign) }, foreign), 'unknown_kid'],
  ['keys elsewhere', header({ ...leaf }, foreign), 'unknown_kid'],
  ['crit', header({ crit: ['exp'], exp: 1 }), 'unsupported_extension'],
  ['typ JWT', header({ typ: 'JWT' }), 'wrong_type'],
  ['no typ', header({ typ: undefined }), 'wrong_type'],
  ['typ of a DPoP proof', header({ typ: 'dpop+jwt' }), 'wrong_type'],
  ['another issuer', claims(() => ({ iss: 'https://evil.example' })), 'wrong_issuer'],
  ['the issuer with a slash', claims(() => ({ iss: `${issuer}/` })), 'wrong_issuer'],
]);

refused('a token that is not for here and now', 401, 'invalid_token', [
  ['another audience', claims(() => ({ aud: 'https://other.example' })), 'wrong_audience'],
  ['an audience above', claims(() => ({ aud: 'https://api.example' })), 'wrong_audience'],
  ['several audiences', claims(() => ({ aud: [resource, 'https://other.example'] })), 'wrong_audience'],
  ['no audience', claims(() => ({ aud: undefined })), 'wrong_audience'],
  ['expired', claims(({ now }) => ({ exp: now - 5 })), 'expired'],
  ['no expiry', claims(() => ({ exp: undefined })), 'malformed'],
  ['an expiry that is a string', claims(() => ({ exp: '9999999999' })), 'malformed'],
  ['issued in the future', claims(({ now }) => ({ iat: now + 60 })), 'not_yet_valid'],
  ['not yet valid', claims(({ now }) => ({ nbf: now + 60 })), 'not_yet_valid'],
  ['no client_id', claims(() => ({ client_id: undefined })), 'malformed'],
  ['no organization', claims(() => ({ org: undefined })), 'malformed'],
  ['six actors', claims(() => ({ act: actors(6) })), 'too_deep'],
  ['a context of a kind to come', claims(() => ({ ctx: { ip: ['0.0.0.0/0'], asn: ['1'] } })), 'unreadable_context'],
  ['a context that cannot be read', claims(() => ({ ctx: { ip: 'here' } })), 'unreadable_context'],
  ['a context that allows nobody', claims(() => ({ ctx: { ip: [] } })), 'unreadable_context'],
  ['a context that is a list', claims(() => ({ ctx: [] })), 'unreadable_context'],
  ['a context that is null', claims(() => ({ ctx: null })), 'unreadable_context'],
  ['a zone that is none', claims(() => ({ zone: { name: 'eu-1' } })), 'malformed'],
  ['from another country than its context says', claims(() => ({ ctx: { country: ['CH'] } })), 'ctx.country'],
  ['from an unknown zone', claims(() => ({ ctx: { zone: ['eu-1'] } })), 'ctx.zone'],
  ['from another zone than its context says', claims(() => ({ zone: 'eu-2', ctx: { zone: ['eu-1'] } })), 'ctx.zone'],
  [
    'at another hour than its context says',
    claims(({ now }) => ({ ctx: { hours: [{ tz: 'UTC', windows: [hourAfter(now)] }] } })),
    'ctx.hours',
  ],
  ['from another address than its context says', claims(() => ({ ctx: { ip: ['10.0.0.0/8'] } })), 'ctx.ip'],
]);

refused('a token that is bound otherwise', 401, 'invalid_token', [
  ['to nothing', claims(() => ({ cnf: undefined })), 'bound to no key'],
  [
    'to nothing, as Bearer',
    async ({ fake }) => bare({ authorization: [`Bearer ${await fake.token()}`] }),
    'bound to no key',
  ],
  ['in an empty way', claims(() => ({ cnf: {} })), 'malformed'],
  ['in an unknown way', claims(() => ({ cnf: { kid: 'x' } })), 'malformed'],
  ['to a certificate', claims(() => ({ cnf: { 'x5t#S256': 'x' } })), 'bound to a certificate, but sent as DPoP'],
  [
    'to a certificate, where none is seen',
    async ({ fake }) => bare({ authorization: [`Bearer ${await fake.token({ cnf: { 'x5t#S256': 'x' } })}`] }),
    'certificates are not seen here',
  ],
  [
    'to a certificate that only a header of nobody knows',
    async ({ fake }) => {
      const token = await fake.token({ cnf: { 'x5t#S256': sha256Base64url(Buffer.of(0x30, 0)) } });
      return bare({ authorization: [`Bearer ${token}`], 'client-cert': [':MAA=:'] });
    },
    'certificates are not seen here',
  ],
  ['to a certificate, in no string', claims(() => ({ cnf: { 'x5t#S256': ['x'] } })), 'malformed'],
  ['to the key, and in an unknown way', claims(({ agent }) => ({ cnf: { jkt: jktOf(agent), kid: 'x' } })), 'malformed'],

  [
    'to the key and a certificate',
    claims(({ agent }) => ({ cnf: { jkt: jktOf(agent), 'x5t#S256': 'x' } })),
    'certificates are not seen here',
  ],
  [
    'to the key, but sent as Bearer',
    changed((_, token) => ({ headers: { authorization: [`Bearer ${token}`] } })),
    'bound, but sent as Bearer',
  ],
  [
    'to the key, but sent as Bearer with a proof',
    authorization((token) => [`Bearer ${token}`]),
    'bound, but sent as Bearer',
  ],
]);

refused('a proof that proves nothing', 401, 'invalid_dpop_proof', [
  ['none', proofs(() => []), 'no proof'],
  ['two', proofs((proof) => [proof, proof]), 'two proofs'],
  ['two joined on the way', proofs((proof) => [`${proof}, ${proof}`]), 'malformed'],
  ['an empty one', proofs(() => ['']), 'malformed'],
  ['of another key: the token is stolen', stolen, 'made with another key'],
  ['for another method', proof(() => ({ htm: 'POST' })), 'wrong_method'],
  ['for the method in small letters', proof(() => ({ htm: 'get' })), 'wrong_method'],
  ['for another path', proof(() => ({ htu: `${resource}/tickets/7` })), 'wrong_url'],
  ['for another host', proof(() => ({ htu: 'https://evil.example/v1/tickets' })), 'wrong_url'],
  ['for plain http', proof(() => ({ htu: 'http://api.example/v1/tickets' })), 'wrong_url'],
  ['for another token', proof(() => ({ accessToken: 'another' })), 'wrong_token'],
  ['for no token', proof(() => ({ accessToken: undefined })), 'wrong_token'],
  ['of a minute and a second ago', proof(({ now }) => ({ now: (now - 61) * 1000 })), 'expired'],
  ['of six seconds from now', proof(({ now }) => ({ now: (now + 6) * 1000 })), 'not_yet_valid'],
  ['without a jti', proof(() => ({ jti: undefined })), 'malformed'],
  [
    'that is the token',
    changed((request, token) => ({ headers: { ...request.headers, dpop: [token] } })),
    'wrong_type',
  ],
  ['with a private key in it', handmade(foreign, { jwk: foreign }), 'private_key'],
  ['signed by another key than it shows', handmade(foreign), 'bad_signature'],
  ['of type JWT', handmade(undefined, { typ: 'JWT' }), 'wrong_type'],
  ['with keys elsewhere', handmade(undefined, leaf), 'foreign_key'],
]);

refused('what the token is not for', 403, undefined, [
  ['a method that is not listed', ({ agent }) => agent.request('PATCH', '/tickets'), 'no such operation'],
  ['a path that is not listed', ({ agent }) => agent.request('GET', '/invoices'), 'no such operation'],
  ['a listed path with a slash', ({ agent }) => agent.request('GET', '/tickets/'), 'no such operation'],
  ['a listed path in capitals', ({ agent }) => agent.request('DELETE', '/tickets/PURGE'), 'no such operation'],
  ['outside of the resource', outside, 'no such operation'],
]);

refused('what the token is not for', 403, 'insufficient_scope', [
  ['a scope that is missing', ({ agent }) => agent.request('POST', '/tickets/7/close'), 'missing tickets:write'],
  ['no scope at all', claims(() => ({ scope: undefined })), 'missing tickets:read'],
  [
    'an exact path does not pass as a template',
    ({ agent }) => agent.request('DELETE', '/tickets/purge'),
    'missing tickets:purge',
  ],
]);

async function isRefused(make: Make, status: number, error: string | undefined, reason: string): Promise<void> {
  const fake = await fakeIssuer();
  const records: DecisionRecord[] = [];
  const guard = createGuard(fake.options({ onDecision: (record) => records.push(record) }));
  const request = await make({ fake, agent: await fakeAgent(fake), now: Math.floor(fake.clock.now() / 1000) });
  const decision = await guard.decide(request);
  assert.deepEqual(
    records.map((record) => [record.outcome, record.reason]),
    [['refused', reason]],
  );
  assert.ok(!decision.allowed);
  assert.deepEqual([decision.status, decision.problem?.status, decision.problem?.error], [status, status, error]);
  assert.equal(decision.headers['content-type'], 'application/problem+json');
  assert.equal(decision.headers['cache-control'], 'no-store');
  assert.ok((decision.problem?.detail.length ?? 0) > 10, 'it says what is wrong');
  checkChallenge(decision, error);
  leaksNothing(decision, request);
}

function checkChallenge(decision: Decision & { allowed: false }, error: string | undefined): void {
  const challenge = decision.headers['www-authenticate'];
  if (decision.status === 403 && error === undefined) {
    assert.equal(challenge, undefined, 'no scope would help');
    return;
  }
  const [dpop, ...others] = parseChallenges(String(challenge));
  assert.equal(dpop?.scheme, 'DPoP');
  assert.deepEqual(others, [], 'Bearer would not help');
  assert.equal(dpop.params.error, error);
  assert.equal(dpop.params.algs, 'ES256 EdDSA PS256 RS256');
  assert.equal(dpop.params.resource_metadata, 'https://api.example/.well-known/oauth-protected-resource/v1');
}

/** Nothing that the request presented comes back, and nothing of our insides. */
function leaksNothing(decision: Decision & { allowed: false }, request: GuardRequest): void {
  const said = JSON.stringify([decision.headers, decision.body]);
  for (const value of [...(request.headers.authorization ?? []), ...(request.headers.dpop ?? [])]) {
    for (const part of value.split(/[ .,]+/)) if (part.length > 12) assert.ok(!said.includes(part), said);
  }
  assert.doesNotMatch(said, /node_modules|\.ts|at \w+ \(/);
}

function bare(headers: GuardRequest['headers'], url = '/v1/tickets', method = 'GET'): GuardRequest {
  return { method, url, headers };
}

/** A good request, changed afterwards. */
function changed(change: (request: GuardRequest, token: string) => Partial<GuardRequest>): Make {
  return async ({ agent }) => {
    const request = await agent.request();
    return { ...request, ...change(request, request.headers.authorization![0]!.slice('DPoP '.length)) };
  };
}

function authorization(values: (token: string) => string[]): Make {
  return changed((request, token) => ({ headers: { ...request.headers, authorization: values(token) } }));
}

function parts(change: (head: string, payload: string, signature: string) => string[]): Make {
  return authorization((token) => [`DPoP ${change(...(token.split('.') as [string, string, string])).join('.')}`]);
}

function proofs(values: (proof: string) => string[]): Make {
  return changed((request) => ({ headers: { ...request.headers, dpop: values(request.headers.dpop![0]!) } }));
}

/** A good request whose token has other claims. */
function claims(changes: (world: World) => Record<string, unknown>): Make {
  return (world) => world.agent.request('GET', '/tickets', { claims: changes(world) });
}

/** A good request with another proof. */
function proof(changes: (world: World) => object): Make {
  return (world) => world.agent.request('GET', '/tickets', { proof: changes(world) });
}

/** A good request whose token has another header, or is signed with another key. */
function header(changes: Record<string, unknown>, key?: PrivateJwk): Make {
  return async ({ fake, agent }) => {
    const token = await fake.token(
      { cnf: { jkt: jktOf(agent) } },
      key === undefined ? changes : { ...changes, alg: key.alg },
      key,
    );
    return agent.request('GET', '/tickets', { token });
  };
}

/** A proof made by hand: right but for `changes` to its header and the key that signs. */
function handmade(signer: PrivateJwk | undefined, changes: Record<string, unknown> = {}): Make {
  return async ({ agent, now }) => {
    const token = await agent.token();
    const { kty, crv, x, y } = agent.signer.publicJwk;
    const head = encodeHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y }, ...changes });
    const payload = { jti: 'p', htm: 'GET', htu: `${resource}/tickets`, iat: now, ath: accessTokenHash(token) };
    const dpop = await signWith(signer === undefined ? agent.signer : signerFrom(signer), head, payload);
    return bare({ authorization: [`DPoP ${token}`], dpop: [dpop] });
  };
}

async function hmacWithPublicKey({ fake, agent }: World): Promise<GuardRequest> {
  const [key] = fake.keys as [PrivateJwk];
  const input = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: key.kid })}.${(await agent.token()).split('.')[1]}`;
  const mac = createHmac('sha256', JSON.stringify(publicJwk(key)))
    .update(input)
    .digest('base64url');
  return agent.request('GET', '/tickets', { token: `${input}.${mac}` });
}

async function stolen({ fake, agent }: World): Promise<GuardRequest> {
  const thief = await fakeAgent(fake, foreign);
  return thief.request('GET', '/tickets', { token: await agent.token() });
}

async function outside({ agent }: World): Promise<GuardRequest> {
  const request = await agent.request('GET', '/tickets', { proof: { htu: 'https://api.example/tickets' } });
  return { ...request, url: '/tickets' };
}

function jktOf(agent: FakeAgent): string {
  return thumbprint(agent.signer.publicJwk);
}

function actors(depth: number): object {
  return depth === 1 ? { sub: '1' } : { sub: `${depth}`, act: actors(depth - 1) };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
