// Every way a client assertion can be wrong. A wrong one is invalid_client; a right one of an agent that may not act is
// unauthorized_client, which only its own key gets to hear. RFC 6749 §5.2; RFC 7523 §3; RFC 7515; RFC 8725.
import { createHmac, createPublicKey, sign as signBytes } from 'node:crypto';
import { type Change, encode, type JwtChange, makeProof, signAs } from '../craft.ts';
import type { Row, Scene } from './row.ts';

type Wrong = [sentence: string, change: JwtChange | ((scene: Scene) => JwtChange)];

const tenYears = 10 * 365 * 86_400;
const empty = () => Buffer.alloc(0);

const form: Wrong[] = [
  ['one that is no JWT', { compact: () => 'x' }],
  ['two parts', { compact: (jwt) => jwt.split('.').slice(0, 2).join('.') }],
  ['four parts', { compact: (jwt) => `${jwt}.e30` }],
  ['five parts, as an encrypted one has', { compact: (jwt) => `${jwt}.e30.e30` }],
  ['an empty signature', { sign: empty }],
  ['an empty header', { compact: (jwt) => jwt.slice(jwt.indexOf('.')) }],
  ['an empty payload', { rawPayload: '' }],
  ['only dots', { compact: () => '..' }],
  ['a line break behind it', { compact: (jwt) => `${jwt}\n` }],
  ['a space before it', { compact: (jwt) => ` ${jwt}` }],
  ['padding behind it', { compact: (jwt) => `${jwt}==` }],
  ['base64 instead of base64url', { compact: (jwt) => withoutUrlSafety(jwt) }],
  ['a signature that decodes the same but is written differently', { compact: (jwt) => nonCanonical(jwt) }],
  ['garbage behind the signature', { compact: (jwt) => `${jwt}AAAA` }],
  ['percent-encoding inside the JWT', { compact: (jwt) => jwt.replace('.', '%2E') }],
  ['a header that is no JSON', { rawHeader: '{"alg":"ES256"' }],
  ['a header that is a list', { rawHeader: [{ alg: 'ES256' }] }],
  ['a header that is null', { rawHeader: 'null' }],
  [
    'a header with a byte order mark',
    ({ client }) => ({ rawHeader: `\ufeff{"alg":"ES256","kid":"${client.key.kid}"}` }),
  ],
  ['a header that is no UTF-8', { rawHeader: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }],
  ['a payload that is no JSON', { rawPayload: 'sub=me' }],
  ['a payload that is a list', { rawPayload: [1, 2] }],
  [
    'a payload that is a string with JSON in it',
    ({ client }) => ({ rawPayload: JSON.stringify(JSON.stringify({ sub: client.id })) }),
  ],
  ['a payload nested ten thousand deep', { rawPayload: `${'['.repeat(5000)}${']'.repeat(5000)}` }],
  ['20 KB', { claims: { padding: 'x'.repeat(20_000) } }],
];

const signature: Wrong[] = [
  ['alg none', { header: { alg: 'none' }, sign: empty }],
  ['alg none with a signature', { header: { alg: 'none' } }],
  ['alg NONE', { header: { alg: 'NONE' }, sign: empty }],
  ['alg nOnE', { header: { alg: 'nOnE' }, sign: empty }],
  ['no alg', { header: { alg: undefined } }],
  ['an empty alg', { header: { alg: '' } }],
  ['alg as a list', { header: { alg: ['ES256'] } }],
  ['alg as a number', { header: { alg: 256 } }],
  ['alg __proto__', { header: { alg: '__proto__' } }],
  ['alg ES384 for a key of P-256', { header: { alg: 'ES384' } }],
  ['alg es256 in small letters', { header: { alg: 'es256' } }],
  ['alg RS256 for an elliptic curve key', { header: { alg: 'RS256' } }],
  ['an HMAC with the public key in PEM as its secret', ({ client }) => hmac(publicPem(client))],
  ['an HMAC with the public JWK as its secret', ({ client }) => hmac(JSON.stringify(client.key.jwk))],
  ['an HMAC with an empty secret', () => hmac('')],
  [
    'an ES256 signature in DER',
    ({ client }) => ({ sign: (input) => signBytes('sha256', input, client.key.privateKey) }),
  ],
  ['a signature of zeros', { sign: () => Buffer.alloc(64) }],
  ['a signature half as long', { sign: () => Buffer.alloc(32, 1) }],
  [
    'a signature with one bit turned',
    ({ client }) => ({ sign: (input) => flipped(signAs('ES256', client.key.privateKey, input)) }),
  ],
  [
    'a signature over something else',
    ({ client }) => ({ sign: () => signAs('ES256', client.key.privateKey, Buffer.from('x')) }),
  ],
  [
    'a payload exchanged after signing',
    ({ client, other }) => ({ compact: (jwt) => exchanged(jwt, client.id, other.id) }),
  ],
  ['the key of nobody', ({ strangerKey }) => ({ key: strangerKey })],
  ['the key of another agent', ({ other }) => ({ key: other.key })],
  ['the key and kid of another agent', ({ other }) => ({ key: other.key, header: { kid: other.key.kid } })],
  [
    'the key that only its tokens are bound to',
    ({ client }) => ({ key: client.bindingKey, header: { kid: client.bindingKey.kid } }),
  ],
];

const header: Wrong[] = [
  ['a kid that nobody knows', { header: { kid: 'unknown' } }],
  ['the kid of another agent', ({ other }) => ({ header: { kid: other.key.kid } })],
  ['a kid that is a number', { header: { kid: 1 } }],
  ['a kid that is an object', { header: { kid: {} } }],
  ['a kid that is a path', { header: { kid: '../../../../etc/passwd' } }],
  ['a kid that is SQL', { header: { kid: "' or '1'='1" } }],
  ['a kid with a NUL', { header: { kid: '\0' } }],
  ['a kid of 5 KB', { header: { kid: 'k'.repeat(5000) } }],
  [
    'a key of its own in jwk',
    ({ strangerKey }) => ({ key: strangerKey, header: { kid: strangerKey.kid, jwk: strangerKey.jwk } }),
  ],
  [
    'a key of its own in jwk and no kid',
    ({ strangerKey }) => ({ key: strangerKey, header: { kid: undefined, jwk: strangerKey.jwk } }),
  ],
  [
    'a key of its own behind jku',
    ({ strangerKey }) => ({ key: strangerKey, header: { jku: 'https://attacker.example/jwks' } }),
  ],
  [
    'a key of its own behind x5u',
    ({ strangerKey }) => ({ key: strangerKey, header: { x5u: 'https://attacker.example/x5u' } }),
  ],
  ['a key of its own in x5c', ({ strangerKey }) => ({ key: strangerKey, header: { x5c: ['MIIB'] } })],
  ['crit with a name that nobody knows', { header: { crit: ['x'], x: 1 } }],
  ['crit with a name that everybody knows', { header: { crit: ['alg'] } }],
  ['an empty crit', { header: { crit: [] } }],
  ['an unencoded payload', { header: { b64: false, crit: ['b64'] } }],
  ['the typ of an access token', { header: { typ: 'at+jwt' } }],
  ['the typ of a DPoP proof', { header: { typ: 'dpop+jwt' } }],
  ['a typ that is no text', { header: { typ: 1 } }],
];

const claims: Wrong[] = [
  ['no iss', { claims: { iss: undefined } }],
  ['no sub', { claims: { sub: undefined } }],
  ['no iss and no sub', { claims: { iss: undefined, sub: undefined } }],
  ['iss of another agent', ({ other }) => ({ claims: { iss: other.id } })],
  ['sub of another agent', ({ other }) => ({ claims: { sub: other.id } })],
  ['iss and sub of another agent', ({ other }) => ({ claims: { iss: other.id, sub: other.id } })],
  ['sub as a number', { claims: { sub: 1 } }],
  ['sub as a list', ({ client }) => ({ claims: { sub: [client.id], iss: [client.id] } })],
  ['sub with a NUL', ({ client }) => ({ claims: { sub: `${client.id}\0`, iss: `${client.id}\0` } })],
  ['sub with half a surrogate pair', { rawPayload: '{"sub":"\\ud800","iss":"\\ud800"}' }],
  ['sub that is SQL', { claims: { sub: "x' or '1'='1", iss: "x' or '1'='1" } }],
  [
    'sub that nobody was registered under',
    { claims: { sub: 'agt_00000000000000000000000000', iss: 'agt_00000000000000000000000000' } },
  ],
  ['sub of 10 KB', { claims: { sub: 's'.repeat(10_000), iss: 's'.repeat(10_000) } }],

  ['no aud', { claims: { aud: undefined } }],
  ['aud null', { claims: { aud: null } }],
  ['aud the token endpoint', ({ tokenEndpoint }) => ({ claims: { aud: tokenEndpoint } })],
  ['aud a list with our issuer alone', ({ issuer }) => ({ claims: { aud: [issuer] } })],
  ['aud a list with our issuer and another', ({ issuer }) => ({ claims: { aud: [issuer, 'https://other.example'] } })],
  ['aud an empty list', { claims: { aud: [] } }],
  ['aud with a slash more', ({ issuer }) => ({ claims: { aud: `${issuer}/` } })],
  ['aud in capitals', ({ issuer }) => ({ claims: { aud: issuer.toUpperCase() } })],
  ['aud with a space behind it', ({ issuer }) => ({ claims: { aud: `${issuer} ` } })],
  ['aud without its port', ({ issuer }) => ({ claims: { aud: issuer.replace(/:\d+$/, '') } })],
  ['aud under another scheme', ({ issuer }) => ({ claims: { aud: issuer.replace('http:', 'https:') } })],
  ['aud another server', { claims: { aud: 'https://other.example' } }],
  ['aud empty', { claims: { aud: '' } }],
  ['aud a number', { claims: { aud: 8455 } }],
  ['aud an object', ({ issuer }) => ({ claims: { aud: { [issuer]: true } } })],
  ['aud the resource', ({ resource }) => ({ claims: { aud: resource } })],

  ['no exp', { claims: { exp: undefined } }],
  ['exp as text', ({ now }) => ({ claims: { exp: String(now + 60) } })],
  ['exp null', { claims: { exp: null } }],
  ['exp true', { claims: { exp: true } }],
  ['exp zero', { claims: { exp: 0 } }],
  ['exp below zero', { claims: { exp: -1 } }],
  [
    'exp beyond all numbers',
    ({ client, issuer, now }) => ({
      rawPayload: `{"iss":"${client.id}","sub":"${client.id}","aud":"${issuer}","iat":${now},"jti":"x","exp":1e999}`,
    }),
  ],
  ['exp an hour ago', ({ now }) => ({ claims: { iat: now - 3660, exp: now - 3600 } })],
  ['exp just past every tolerance', ({ now }) => ({ claims: { iat: now - 120, exp: now - 61 } })],
  ['ten years long', ({ now }) => ({ claims: { exp: now + tenYears } })],
  ['an hour long', ({ now }) => ({ claims: { exp: now + 3600 } })],
  ['exp in milliseconds', ({ now }) => ({ claims: { exp: (now + 60) * 1000 } })],
  ['iat in the future', ({ now }) => ({ claims: { iat: now + 200, exp: now + 260 } })],
  ['iat as text', ({ now }) => ({ claims: { iat: String(now) } })],
  ['nbf in the future', ({ now }) => ({ claims: { nbf: now + 120, exp: now + 180 } })],
  ['nbf as text', ({ now }) => ({ claims: { nbf: String(now) } })],

  ['no jti', { claims: { jti: undefined } }],
  ['an empty jti', { claims: { jti: '' } }],
  ['jti as a number', { claims: { jti: 1 } }],
  ['jti as a list', { claims: { jti: ['x'] } }],
  ['jti of 10 KB', { claims: { jti: 'j'.repeat(10_000) } }],
];

const others: Row[] = [
  ['an assertion of a suspended agent', ({ suspended }) => ({ client: suspended }), 400, 'unauthorized_client'],
  ['an assertion of a retired agent', ({ retired }) => ({ client: retired }), 401, 'invalid_client'],
  ['an assertion of an agent whose time is up', ({ expired }) => ({ client: expired }), 400, 'unauthorized_client'],
  ['an assertion with a removed key', ({ keyless }) => ({ client: keyless }), 401, 'invalid_client'],
  ['an assertion with an expired key', ({ staleKey }) => ({ client: staleKey }), 401, 'invalid_client'],
  [
    'RS256 with a key registered for PS256',
    ({ rsa }) => ({
      client: rsa,
      assertion: { header: { alg: 'RS256' }, sign: (input) => signAs('RS256', rsa.key.privateKey, input) },
    }),
    401,
    'invalid_client',
  ],
  [
    'ES256 in the header of an RSA signature',
    ({ rsa }) => ({ client: rsa, assertion: { header: { alg: 'ES256' } } }),
    401,
    'invalid_client',
  ],
  [
    'an HMAC with the RSA public key in PEM as its secret',
    ({ rsa }) => ({ client: rsa, assertion: hmac(publicPem(rsa)) }),
    401,
    'invalid_client',
  ],
  [
    'an access token as its assertion',
    ({ accessToken }) => ({ form: { client_assertion: accessToken } }),
    401,
    'invalid_client',
  ],
  [
    'a DPoP proof as its assertion',
    (scene) => ({ form: { client_assertion: makeProof(scene, 'x') } }),
    401,
    'invalid_client',
  ],
];

export const assertionRows: Row[] = [
  ...[...form, ...signature, ...header, ...claims].map(
    ([sentence, change]): Row => [
      `an assertion: ${sentence}`,
      (scene): Change => ({ assertion: typeof change === 'function' ? change(scene) : change }),
      401,
      'invalid_client',
    ],
  ),
  ...others,
];

function publicPem({ key }: Scene['client']): string {
  return createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' }) as string;
}

function hmac(secret: string): JwtChange {
  return { header: { alg: 'HS256' }, sign: (input) => createHmac('sha256', secret).update(input).digest() };
}

/** Changes the bits of the last character that carry nothing: 64 bytes leave four of them. */
function nonCanonical(jwt: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(jwt.at(-1) as string);
  return jwt.slice(0, -1) + alphabet[last ^ 1];
}

/** Writes the signature in the other alphabet; one that has neither - nor _ gets a + for its last dot's sake. */
function withoutUrlSafety(jwt: string): string {
  const other = jwt.replaceAll('-', '+').replaceAll('_', '/');
  return other === jwt ? `${jwt.slice(0, -1)}+` : other;
}

function exchanged(jwt: string, from: string, to: string): string {
  const [head, payload, signature] = jwt.split('.') as [string, string, string];
  return [head, encode(Buffer.from(payload, 'base64url').toString().replaceAll(from, to)), signature].join('.');
}

function flipped(signature: Buffer): Buffer {
  signature[0] = (signature[0] as number) ^ 1;
  return signature;
}
