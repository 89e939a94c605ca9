/** Instances of an agent and requests of their own making: for tests of enrolment. Every member is the test's to change. */
import { randomBytes } from 'node:crypto';
import {
  createClientAssertion,
  createDpopProof,
  type DpopInput,
  generateJwk,
  type Signer,
  signerFrom,
} from '@bailiwick/protocol';
import type { ServerForClients, TokenClient } from './token-client.ts';

export interface Reply {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of an answer by looking at it
  body: any;
}

export interface EnrolOptions {
  /** The instance's key; a new one unless said. */
  signer?: Signer;
  /** `null`: none. */
  token?: string | null;
  body?: Record<string, unknown> | string;
  headers?: Record<string, string>;
  proof?: Partial<DpopInput> & { now?: number };
  /** `null`: none. */
  dpop?: string | null;
}

export interface TestInstance {
  id: string;
  signer: Signer;
  answer: Record<string, unknown>;
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const jti = () => randomBytes(12).toString('base64url');

export async function newSigner(alg: 'ES256' | 'EdDSA' | 'PS256' = 'ES256'): Promise<Signer> {
  return signerFrom(await generateJwk(alg));
}

/** What speaks to `/instances` of this server for an agent of `tokenClient`. */
export function instanceClient(server: ServerForClients, client: TokenClient) {
  const { issuer, clock } = server;
  const here = (url: string) => url.replace(issuer, server.address);
  const url = `${issuer}/instances`;

  const proofBy = (signer: Signer, htm: string, htu: string, more: Partial<DpopInput> = {}) =>
    createDpopProof(signer, { htm, htu, now: clock.now(), jti: jti(), ...more });

  async function send(method: string, to: string, body: unknown, headers: Record<string, string>): Promise<Reply> {
    const response = await fetch(here(to), {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  }

  /** Members of the body by which the agent's own key proves it. */
  const assertion = async (signer = client.signer, more: { jti?: string; kid?: string } = {}) => ({
    client_assertion_type: assertionType,
    client_assertion: await createClientAssertion(signer, {
      clientId: client.clientId,
      audience: issuer,
      now: clock.now(),
      jti: more.jti ?? jti(),
    }),
  });

  /** A new enrolment token of the agent: the secret. */
  async function token(more: Record<string, unknown> = {}): Promise<{ id: string; secret: string }> {
    return server.admin<{ id: string; secret: string }>('POST', '/credentials', {
      agent: client.clientId,
      kind: 'enrolment_token',
      ...more,
    });
  }

  /** One request to enrol, to be sent as often as the test likes: by a new enrolment token unless it says otherwise. */
  async function prepared(options: EnrolOptions = {}) {
    const signer = options.signer ?? (await newSigner());
    const secret = options.token === undefined ? (await token()).secret : options.token;
    const dpop =
      options.dpop === undefined
        ? await proofBy(signer, 'POST', url, { ...(secret !== null && { accessToken: secret }), ...options.proof })
        : options.dpop;
    const headers = {
      ...(secret !== null && { authorization: `Bearer ${secret}` }),
      ...(dpop !== null && { dpop }),
      ...options.headers,
    };
    return { signer, send: () => send('POST', url, options.body ?? {}, headers) };
  }

  /** Enrols with a new enrolment token, unless the options say otherwise. */
  const enrol = async (options: EnrolOptions = {}) => (await prepared(options)).send();

  /** Enrols by the agent's own key. */
  const enrolByKey = async (options: EnrolOptions = {}) =>
    enrol({ token: null, ...options, body: { ...(await assertion()), ...(options.body as object) } });

  /** An instance that is enrolled. @throws Error with what it heard otherwise */
  async function instance(options: EnrolOptions = {}): Promise<TestInstance> {
    const signer = options.signer ?? (await newSigner());
    const { status, body } = await enrolByKey({ ...options, signer });
    if (status !== 201) throw new Error(`not enrolled: ${status} ${JSON.stringify(body)}`);
    return { id: body.instance, signer, answer: body };
  }

  /** A request by the key of an instance. */
  async function call(
    of: { id: string; signer: Signer },
    method: string,
    below = '',
    body?: unknown,
    options: { proof?: Partial<DpopInput>; headers?: Record<string, string>; dpop?: string } = {},
  ): Promise<Reply> {
    const to = `${url}/${of.id}${below}`;
    const dpop = options.dpop ?? (await proofBy(of.signer, method, to, options.proof));
    return send(method, to, body, { dpop, ...options.headers });
  }

  /** A child of an instance, by a new key. */
  async function child(
    of: TestInstance,
    body: Record<string, unknown> = {},
    signer?: Signer,
    headers: Record<string, string> = {},
  ) {
    const own = signer ?? (await newSigner());
    const to = `${url}/${of.id}/children`;
    const proof = await proofBy(own, 'POST', to);
    const name = `child-${jti()
      .toLowerCase()
      .replace(/[^a-z0-9]/g, 'x')}`;
    const reply = await call(of, 'POST', '/children', { name, proof, ...body }, { headers });
    return { ...reply, signer: own, id: reply.body?.instance as string };
  }

  /** A token of an instance, by `client_credentials` and its own key. */
  async function tokenOf(
    of: { id: string; signer: Signer },
    parameters: Record<string, string> = {},
    headers: Record<string, string> = {},
  ): Promise<Reply> {
    const htu = `${issuer}/oauth2/token`;
    const nonce = server.deps?.nonces.current(clock.now());
    const response = await fetch(here(htu), {
      method: 'POST',
      headers: { ...headers, dpop: await proofBy(of.signer, 'POST', htu, nonce === undefined ? {} : { nonce }) },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        ...(await assertion(of.signer)),
        ...parameters,
      }),
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  }

  /** Whether a token of the agent still lives, as the agent itself hears it. */
  async function introspect(token: string): Promise<Record<string, unknown> & { active: boolean }> {
    const response = await fetch(here(`${issuer}/oauth2/introspect`), {
      method: 'POST',
      body: new URLSearchParams({ ...(await assertion()), token }),
    });
    return (await response.json()) as { active: boolean };
  }

  return {
    url,
    proofBy,
    send,
    assertion,
    token,
    prepared,
    enrol,
    enrolByKey,
    instance,
    call,
    child,
    tokenOf,
    introspect,
  };
}

export type InstanceClient = ReturnType<typeof instanceClient>;
