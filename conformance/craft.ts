// Makes token requests that are right, and wrong in exactly one way. By plain node:crypto and node:http, sharing nothing
// with the product: a mistake in packages/protocol must not cancel itself out here.
import {
  constants,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign as signBytes,
} from 'node:crypto';

export type Algorithm = 'ES256' | 'EdDSA' | 'PS256' | 'RS256';

/** A key pair as an agent holds it. */
export interface Key {
  alg: Algorithm;
  kid: string;
  privateKey: KeyObject;
  /** Public JWK with alg, use and kid, as it is registered. */
  jwk: Record<string, unknown>;
  /** The same with only what RFC 7638 needs, as a DPoP proof shows it. */
  bareJwk: Record<string, unknown>;
}

/** Who asks: its client_id, the key it is registered with, and the key its tokens are bound to. */
export interface Client {
  id: string;
  key: Key;
  bindingKey: Key;
}

/** What a correct request is made of. */
export interface Setting {
  issuer: string;
  tokenEndpoint: string;
  /** Seconds, by the server's clock. */
  now: number;
  /** A nonce that the server would take now. */
  nonce: string;
  client: Client;
  resource: string;
  scope: string;
}

/** How a JWT differs from the right one. A value of `undefined` takes the member away. */
export interface JwtChange {
  header?: Record<string, unknown>;
  claims?: Record<string, unknown>;
  /** Instead of the right header or payload: bytes, JSON text or any JSON value. */
  rawHeader?: unknown;
  rawPayload?: unknown;
  /** Signs with this key, by its own algorithm, without touching the header. */
  key?: Key;
  /** Makes the signature from the signing input. */
  sign?: (input: Buffer) => Uint8Array;
  /** The last word: changes the finished compact form. */
  compact?: (compact: string) => string;
}

/** How a request differs from the right one. */
export interface Change {
  client?: Client;
  method?: string;
  query?: string;
  /** `undefined` takes the parameter away, a list repeats it. */
  form?: Record<string, string | string[] | undefined>;
  assertion?: JwtChange;
  /** `'none'` sends no proof. */
  proof?: JwtChange | 'none';
  headers?: [string, string][];
  /** Instead of the encoded form. */
  body?: string | Uint8Array | ((encoded: string) => string | Uint8Array);
  /** Content-Type; `null` sends none. */
  type?: string | null;
}

/** A request that `send` takes as it is. */
export interface Draft {
  method: string;
  query: string;
  headers: [string, string][];
  body: Uint8Array;
}

/** The `jti`s of a request, to show later that a refusal didn't spend them. */
export interface Ids {
  assertion: string;
  proof: string;
}

export const freshIds = (): Ids => ({ assertion: randomUUID(), proof: randomUUID() });

/** A new key; RSA of 2048 bits unless said otherwise. */
export function makeKey(alg: Algorithm, modulusLength = 2048): Key {
  const { privateKey } = generate(alg, modulusLength);
  const bareJwk = createPublicKey(privateKey).export({ format: 'jwk' }) as Record<string, unknown>;
  const kid = thumbprint(bareJwk);
  return { alg, kid, privateKey, bareJwk, jwk: { ...bareJwk, alg, use: 'sig', kid } };
}

function generate(alg: Algorithm, modulusLength: number): { privateKey: KeyObject } {
  if (alg === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength });
}

/** RFC 7638, over the members that `bareJwk` has in the order of their names. */
export function thumbprint(bareJwk: Record<string, unknown>): string {
  const text = JSON.stringify(Object.fromEntries(Object.entries(bareJwk).sort(([a], [b]) => (a < b ? -1 : 1))));
  return createHash('sha256').update(text).digest('base64url');
}

/** Signs as `alg` says, with a key that may not fit it. */
export function signAs(alg: Algorithm, key: KeyObject, input: Uint8Array): Buffer {
  if (alg === 'EdDSA') return signBytes(null, input, key);
  if (alg === 'ES256') return signBytes('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
  if (alg === 'RS256') return signBytes('sha256', input, { key, padding: constants.RSA_PKCS1_PADDING });
  return signBytes('sha256', input, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
}

/** base64url of bytes, of text, or of the JSON of anything else. */
export function encode(part: unknown): string {
  if (part instanceof Uint8Array) return Buffer.from(part).toString('base64url');
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
}

function makeJwt(header: object, claims: object, key: Key, change: JwtChange = {}): string {
  const signer = change.key ?? key;
  const shownHeader = change.rawHeader ?? { ...header, ...change.header };
  const shownPayload = change.rawPayload ?? { ...claims, ...change.claims };
  const input = `${encode(shownHeader)}.${encode(shownPayload)}`;
  const sign = change.sign ?? ((bytes: Buffer) => signAs(signer.alg, signer.privateKey, bytes));
  const compact = `${input}.${encode(sign(Buffer.from(input)))}`;
  return change.compact ? change.compact(compact) : compact;
}

/** A client assertion (RFC 7523 §2.2): the right one, changed. */
export function makeAssertion(setting: Setting, jti: string, change: JwtChange = {}): string {
  const { client, issuer, now } = setting;
  const claims = { iss: client.id, sub: client.id, aud: issuer, iat: now, exp: now + 60, jti };
  return makeJwt({ alg: client.key.alg, kid: client.key.kid }, claims, client.key, change);
}

/** A DPoP proof for the token endpoint (RFC 9449 §4.2): the right one, changed. */
export function makeProof(setting: Setting, jti: string, change: JwtChange = {}): string {
  const { bindingKey: key } = setting.client;
  const claims = { jti, htm: 'POST', htu: setting.tokenEndpoint, iat: setting.now, nonce: setting.nonce };
  return makeJwt({ typ: 'dpop+jwt', alg: key.alg, jwk: key.bareJwk }, claims, key, change);
}

/** The right request, changed. Without `ids` its `jti`s are fresh. */
export function makeRequest(setting: Setting, change: Change = {}, ids: Ids = freshIds()): Draft {
  const asked = change.client ? { ...setting, client: change.client } : setting;
  const form: Record<string, string | string[] | undefined> = {
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: makeAssertion(asked, ids.assertion, change.assertion),
    resource: setting.resource,
    scope: setting.scope,
    ...change.form,
  };
  const pairs = Object.entries(form).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((each): [string, string] => [name, each]),
  );
  const encoded = new URLSearchParams(pairs).toString();
  const body = typeof change.body === 'function' ? change.body(encoded) : (change.body ?? encoded);
  const headers: [string, string][] = [['Accept', 'application/json']];
  if (change.type !== null) headers.push(['Content-Type', change.type ?? 'application/x-www-form-urlencoded']);
  if (change.proof !== 'none') headers.push(['DPoP', makeProof(asked, ids.proof, change.proof)]);
  headers.push(...(change.headers ?? []));
  return { method: change.method ?? 'POST', query: change.query ?? '', headers, body: Buffer.from(body) };
}
