import { X509Certificate } from 'node:crypto';
import { createDpopProof, isJsonObject, isPrintable, type JsonObject, type Signer } from '@bailiwick/protocol';
import { askIssuer, errorNameOf, wordsOf } from './attempts.ts';
import { BailiwickError } from './errors.ts';
import { type Answer, ask } from './http.ts';
import type { IssuerClock } from './issuer-clock.ts';
import type { Nonces } from './nonces.ts';
import type { CommonDeps } from './options.ts';
import { authoritiesIn } from './trust.ts';
import { shown } from './urls.ts';

/** One thing that the issuer knows of an instance, and from whom. */
export interface InstanceAttribute {
  readonly value: string;
  readonly provenance: 'observed' | 'attested' | 'orchestrated' | 'declared';
}

/** What the issuer says of an instance when it enrols or renews. All times are the issuer's, in ms. */
export interface Standing {
  id: string;
  clientId: string;
  spiffeId: string;
  attributes: Readonly<Record<string, InstanceAttribute>>;
  expiresAt: number;
  renewAt: number;
  /** The X.509-SVID, as PEM, the leaf first. */
  chain: string;
  /** PEM of the authorities of the trust domain. */
  bundle: string[];
  /** By audience. */
  jwtSvids: Map<string, { token: string; expiresAt: number }>;
  /** The answer of a token endpoint, if a token was asked for along with it. */
  token: JsonObject | undefined;
}

/** A request to `/instances`, signed by an instance's key. */
export interface InstanceRequest {
  /** What is being done, for errors. */
  step: string;
  method: 'GET' | 'POST' | 'DELETE';
  /** Behind the issuer: `/instances/ins_…/renew`. */
  path: string;
  signer: Signer;
  /** An enrolment token, which the proof then names. */
  bearer?: string;
  /** Made anew for each try, since proofs and assertions work once. */
  body?: (at: { now: number; url: string }) => Promise<JsonObject>;
  /** What to do about a refusal, by its name. */
  hints?: Record<string, string>;
}

/**
 * Asks the issuer about instances.
 * @throws BailiwickError with the issuer's error as its code, or `enrolment_refused`, and what `ask` throws
 */
export type InstanceApi = (request: InstanceRequest) => Promise<{ answer: Answer; askedAt: number; url: URL }>;

interface Rooms {
  deps: CommonDeps;
  clock: IssuerClock;
  nonces: Nonces;
}

export function createInstanceApi({ deps, clock, nonces }: Rooms): InstanceApi {
  return async ({ step, method, path, signer, bearer, body, hints = {} }) => {
    const url = new URL(deps.issuer.replace(/\/$/, '') + path);
    let askedAt = deps.now();
    const answer = await askIssuer({ deps, clock, nonces }, url.origin, async ({ now, nonce }) => {
      askedAt = deps.now();
      const input = { htm: method, htu: url.href, now, jti: deps.uuid(), nonce };
      const dpop = await createDpopProof(signer, { ...input, ...(bearer !== undefined && { accessToken: bearer }) });
      const headers: Record<string, string> = { accept: 'application/json', dpop };
      if (bearer !== undefined) headers.authorization = `Bearer ${bearer}`;
      if (body === undefined) return ask(deps, step, url, { method, headers });
      headers['content-type'] = 'application/json';
      return ask(deps, step, url, { method, headers, body: JSON.stringify(await body({ now, url: url.href })) });
    });
    if (answer.status < 200 || answer.status > 299) throw refusal(step, url, answer, hints);
    return { answer, askedAt, url };
  };
}

const usualHints: Record<string, string> = {
  invalid_dpop_proof: 'check the clock of this machine',
  invalid_target: 'give the agent this resource in its registration, and check how the resource is written',
  invalid_scope: 'name scopes that a role of the agent, or the parent of a child, has on this resource',
};

function refusal(step: string, url: URL, answer: Answer, hints: Record<string, string>): BailiwickError {
  const { status } = answer;
  const code = errorNameOf(answer, 'enrolment_refused');
  const hint = hints[code] ?? usualHints[code] ?? (status === 429 || status >= 500 ? 'try again later' : undefined);
  return new BailiwickError(code, `${step}: ${shown(url)} answered ${status} ${code}${wordsOf(answer)}`, {
    status,
    hint,
  });
}

/**
 * Reads what the issuer says of an instance, and believes no certificate that isn't of this key and this name.
 * @param now the issuer's time, in ms
 * @throws BailiwickError `bad_answer`
 */
export function standingOf(step: string, { json }: Answer, { now, signer }: { now: number; signer: Signer }): Standing {
  const { instance: id, client_id: clientId, spiffe_id: spiffeId, attributes, x509_svid: svid } = json ?? {};
  const expiresAt = timeOf(json?.expires_at);
  const renewAt = timeOf(json?.renew_at);
  const chain = isJsonObject(svid) ? svid.certificate_chain : undefined;
  const isWhole =
    typeof id === 'string' && /^[\w-]{1,100}$/.test(id) && isPrintable(clientId, 512) && isPrintable(spiffeId, 2048);
  if (!isWhole || !(expiresAt > now) || !(renewAt <= expiresAt) || typeof chain !== 'string') {
    throw badAnswer(step, 'something that is no instance');
  }
  const leaf = leafOf(chain);
  if (leaf === undefined || !isOfKey(leaf, signer) || leaf.subjectAltName?.includes(`URI:${spiffeId}`) !== true) {
    throw badAnswer(step, 'a certificate that is not of this instance');
  }
  return {
    id,
    clientId,
    spiffeId,
    attributes: Object.freeze({ ...(isJsonObject(attributes) ? attributes : {}) }) as Standing['attributes'],
    expiresAt: Math.min(expiresAt, Date.parse(leaf.validTo)),
    renewAt,
    chain,
    bundle: authoritiesIn(json?.trust_bundle),
    jwtSvids: jwtSvidsOf(json),
    token: isJsonObject(json?.token) ? json.token : undefined,
  };
}

/** The JWT-SVIDs of an answer, by audience. */
export function jwtSvidsOf(json: JsonObject | undefined): Standing['jwtSvids'] {
  const list = Array.isArray(json?.jwt_svids) ? json.jwt_svids : [];
  const entries = list.flatMap((svid): [string, { token: string; expiresAt: number }][] => {
    if (!isJsonObject(svid) || typeof svid.audience !== 'string' || typeof svid.token !== 'string') return [];
    const expiresAt = timeOf(svid.expires_at);
    return expiresAt > 0 ? [[svid.audience, { token: svid.token, expiresAt }]] : [];
  });
  return new Map(entries);
}

function timeOf(text: unknown): number {
  return typeof text === 'string' ? Date.parse(text) : Number.NaN;
}

function leafOf(chain: string): X509Certificate | undefined {
  try {
    return new X509Certificate(chain);
  } catch {
    return undefined;
  }
}

function isOfKey(leaf: X509Certificate, signer: Signer): boolean {
  const { x, y } = leaf.publicKey.export({ format: 'jwk' });
  return x === signer.publicJwk.x && y === signer.publicJwk.y;
}

function badAnswer(step: string, what: string): BailiwickError {
  const hint = 'is issuer the address of a Bailiwick server of this version?';
  return new BailiwickError('bad_answer', `${step}: the issuer answered with ${what}`, { hint });
}
