/** What the canary and its guard ask this server for, each as any client would. */
import {
  createClientAssertion,
  createDpopProof,
  type DpopInput,
  generateJwk,
  type PrivateJwk,
  type Signer,
  signerFrom,
} from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { askSelf, type SelfAnswer } from './self.ts';

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export interface Client {
  client_id: string;
  signer: Signer;
}

export const clientOf = ({ client_id, jwk }: { client_id: string; jwk: PrivateJwk }): Client => ({
  client_id,
  signer: signerFrom(jwk),
});

const jti = ({ random }: Deps) => random.bytes(16).toString('base64url');

async function assertion(deps: Deps, { client_id, signer }: Client): Promise<Record<string, string>> {
  const { clock, config } = deps;
  const claims = { clientId: client_id, audience: config.issuer, now: clock.now(), jti: jti(deps) };
  return { client_assertion_type: assertionType, client_assertion: await createClientAssertion(signer, claims) };
}

/** A DPoP proof by this key. */
export const proofBy = (deps: Deps, signer: Signer, claims: Pick<DpopInput, 'htm' | 'htu' | 'accessToken' | 'nonce'>) =>
  createDpopProof(signer, { ...claims, now: deps.clock.now(), jti: jti(deps) });

async function postForm(deps: Deps, path: string, form: Record<string, string>, headers: Record<string, string>) {
  return askSelf(deps, {
    method: 'POST',
    url: deps.config.issuer + path,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(form).toString(),
  });
}

/** Asks for a token. */
export async function requestToken(
  deps: Deps,
  client: Client,
  wanted: { resource: string; scope: string; task?: string },
): Promise<SelfAnswer> {
  const path = '/oauth2/token';
  const nonce = deps.nonces.current(deps.clock.now());
  const dpop = await proofBy(deps, client.signer, { htm: 'POST', htu: deps.config.issuer + path, nonce });
  const form = { grant_type: 'client_credentials', ...(await assertion(deps, client)), ...wanted };
  return postForm(deps, path, form, { dpop });
}

/** Asks about a token, and believes the answer for no time at all: no acknowledgement has to wait for a drill. */
export async function introspect(deps: Deps, client: Client, token: string, accept = 'application/json') {
  return postForm(deps, '/oauth2/introspect', { ...(await assertion(deps, client)), token, hold_ms: '0' }, { accept });
}

/** Calls one of our own APIs with a token. */
export async function callWith(
  deps: Deps,
  client: Client,
  token: string,
  request: { method: string; path: string; body?: object },
): Promise<SelfAnswer> {
  const { method, path, body } = request;
  const url = deps.config.issuer + path;
  const dpop = await proofBy(deps, client.signer, { htm: method, htu: url, accessToken: token });
  return askSelf(deps, {
    method,
    url,
    headers: {
      authorization: `DPoP ${token}`,
      dpop,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

/** Something, or in a sentence why there is none. */
export type Given<Thing> = { thing: Thing } | { why: string };

export interface Running {
  id: string;
  signer: Signer;
}

/** Enrols an instance by the agent's own key. */
export async function enrol(deps: Deps, client: Client): Promise<Given<Running>> {
  const url = `${deps.config.issuer}/instances`;
  const signer = signerFrom(await generateJwk('ES256'));
  const dpop = await proofBy(deps, signer, { htm: 'POST', htu: url });
  const answer = await askSelf(deps, {
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json', dpop },
    body: JSON.stringify({ ...(await assertion(deps, client)), lifetime_seconds: 300 }),
  });
  if (answer.status !== 201) return { why: `the canary could enrol no instance: ${answer.status}` };
  const { instance } = JSON.parse(answer.body) as { instance: string };
  return { thing: { id: instance, signer } };
}

/** Asks for more time, by the instance's own key. */
export async function renew(deps: Deps, { id, signer }: Running): Promise<SelfAnswer> {
  const url = `${deps.config.issuer}/instances/${id}/renew`;
  const dpop = await proofBy(deps, signer, { htm: 'POST', htu: url });
  const headers = { 'content-type': 'application/json', dpop };
  return askSelf(deps, { method: 'POST', url, headers, body: JSON.stringify({ lifetime_seconds: 300 }) });
}
