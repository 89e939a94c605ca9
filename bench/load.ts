// Makes the requests of a round before its clock starts, and checks its answers after it has stopped.
import { generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { calculateJwkThumbprint, createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { authority, type Certificate, clientCertificate } from './certificates.ts';
import type { Profile, Target } from './child.ts';
import { type Answer, type Connection, fire, formPost, headerOf, open } from './wire.ts';

export interface KeyPair {
  privateKey: KeyObject;
  publicJwk: Record<string, unknown>;
  thumbprint: string;
}

/**
 * An agent with two keys, as one that takes care would have (one to say who it is, one its tokens are bound to), and
 * with a certificate that does both.
 */
export interface BenchAgent {
  identity: KeyPair;
  binding: KeyPair;
  /** The URI in it. */
  name: string;
  certificate: Certificate;
}

export interface Load {
  target: Target;
  agents: BenchAgent[];
  profile: Profile;
  /** Which agent made which request, by index. */
  concurrency: number;
}

/** A fresh ES256 key with its JWK and RFC 7638 thumbprint. */
export async function keyPair(): Promise<KeyPair> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' });
  const thumbprint = await calculateJwkThumbprint(jwk as never);
  return { privateKey, publicJwk: { ...jwk, alg: 'ES256', use: 'sig', kid: thumbprint }, thumbprint };
}

/** Agents that exist only here until a server is told their public halves, and who vouches for their certificates. */
export async function makeAgents(count: number): Promise<{ agents: BenchAgent[]; ca: string }> {
  const issuer = await authority('CN=clients');
  const agents = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const name = `urn:bench:agent-${index}`;
      const certificate = await clientCertificate(issuer, name);
      return { identity: await keyPair(), binding: await keyPair(), name, certificate };
    }),
  );
  return { agents, ca: issuer.pem };
}

/** `count` requests, each with an assertion and (for dpop) a proof never used before. */
export async function prepare(load: Load, count: number): Promise<Buffer[]> {
  const endpoint = new URL(load.target.tokenEndpoints[load.profile]);
  const nonce = load.profile === 'dpop' ? await nonceFor(endpoint, request(load, 0, undefined)) : undefined;
  return Array.from({ length: count }, (_, index) => request(load, index % load.agents.length, nonce));
}

/** Connections that stand when the clock starts: those of each agent with its certificate, where certificates are asked for. */
export function connect({ target, agents, profile, concurrency }: Load): Promise<Connection[][]> {
  const url = new URL(target.tokenEndpoints[profile]);
  const lanes = profile === 'mtls' ? agents.map(({ certificate }) => certificate) : [undefined];
  return Promise.all(
    lanes.map((certificate, lane) => {
      const share = Math.floor(concurrency / lanes.length) + (lane < concurrency % lanes.length ? 1 : 0);
      const tls = certificate && { ca: target.ca, cert: certificate.chain, key: certificate.key };
      return Promise.all(Array.from({ length: Math.max(1, share) }, () => open(url, tls)));
    }),
  );
}

/** Sends a prepared batch. What this does is what is being measured. */
export function run(lanes: readonly Connection[][], requests: readonly Buffer[]): Promise<Answer[]> {
  return fire(lanes, requests);
}

/** Lets connections go. */
export function disconnect(lanes: readonly Connection[][]): void {
  for (const connection of lanes.flat()) connection.close();
}

/** Every answer must be a token of the profile; every fiftieth is verified with jose as a resource would. */
export async function check(load: Load, answers: readonly Answer[], jwks: JSONWebKeySet): Promise<void> {
  const keys = createLocalJWKSet(jwks);
  const type = load.profile === 'dpop' ? 'DPoP' : 'Bearer';
  for (const [index, answer] of answers.entries()) {
    if (answer.status !== 200) throw new Error(`request ${index} was answered ${answer.status}: ${answer.body}`);
    const body = JSON.parse(answer.body);
    if (body.token_type !== type) throw new Error(`request ${index} got a token of type ${body.token_type}`);
    if (index % 50 !== 0) continue;
    const { payload } = await jwtVerify<{ cnf?: Record<string, string> }>(body.access_token, keys, {
      issuer: load.target.issuer,
      audience: load.target.resources[load.profile],
      typ: 'at+jwt',
      algorithms: ['ES256'],
    });
    const bound = JSON.stringify(payload.cnf ?? {});
    if (bound !== JSON.stringify(bindingOf(load, index)))
      throw new Error(`request ${index} got a token bound to ${bound}`);
  }
}

/** What the token of this request has to be bound to, and nothing else. */
function bindingOf({ profile, agents }: Load, index: number): Record<string, string | undefined> {
  const agent = agents[index % agents.length];
  if (profile === 'dpop') return { jkt: agent?.binding.thumbprint };
  return profile === 'mtls' ? { 'x5t#S256': agent?.certificate.x5t } : {};
}

/** The server's public keys, fetched once. */
export async function fetchJwks(target: { jwksUri: string }): Promise<JSONWebKeySet> {
  const response = await fetch(target.jwksUri);
  return (await response.json()) as JSONWebKeySet;
}

/** Asks once without a nonce, as RFC 9449 §8 has it. */
export async function nonceFor(url: URL, request: Buffer): Promise<string> {
  const connection = await open(url);
  const answer = await connection.exchange(request);
  connection.close();
  const nonce = headerOf(answer, 'dpop-nonce');
  if (answer.status !== 400 || nonce === undefined) {
    throw new Error(`expected use_dpop_nonce, got ${answer.status}: ${answer.body}`);
  }
  return nonce;
}

function request({ target, agents, profile }: Load, index: number, nonce: string | undefined): Buffer {
  const agent = agents[index] as BenchAgent;
  const clientId = target.clientIds[profile][index] as string;
  const endpoint = target.tokenEndpoints[profile];
  const url = new URL(endpoint);
  const common = { grant_type: 'client_credentials', resource: target.resources[profile], scope: target.scope };
  if (profile === 'mtls') return formPost(url, { ...common, client_id: clientId });
  const form = {
    ...common,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion(agent.identity, clientId, target.issuer),
  };
  return formPost(url, form, profile === 'dpop' ? { DPoP: proof(agent.binding, endpoint, nonce) } : {});
}

/** An assertion never used before. @see RFC 7523 */
export function assertion(key: KeyPair, clientId: string, audience: string): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: clientId, sub: clientId, aud: audience, iat: now, exp: now + 60, jti: randomUUID() };
  return compact({ alg: 'ES256', kid: key.thumbprint }, claims, key.privateKey);
}

/** A DPoP proof never used before. @see RFC 9449 */
export function proof(key: KeyPair, htu: string, nonce: string | undefined): string {
  const { kty, crv, x, y } = key.publicJwk;
  const claims = { jti: randomUUID(), htm: 'POST', htu, iat: Math.floor(Date.now() / 1000), nonce };
  return compact({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }, claims, key.privateKey);
}

/** A compact JWS by plain node:crypto. Not the product's own code: a generator must not share its subject's mistakes. */
export function compact(header: object, claims: object, key: KeyObject): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const input = `${encode(header)}.${encode(claims)}`;
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}
