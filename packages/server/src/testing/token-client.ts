/** An agent with a key, a resource and a role, and requests of its own making: for tests of the token's road. */
import { randomBytes } from 'node:crypto';
import {
  createClientAssertion,
  createDpopProof,
  generateJwk,
  publicJwk,
  type Signer,
  signerFrom,
} from '@bailiwick/protocol';
import type { OAuthRequest } from '../decide/plan.ts';
import type { TestServer } from './harness.ts';

export interface TokenClient {
  clientId: string;
  credential: string;
  signer: Signer;
  /** Ids of what it rests on. */
  organization: string;
  owner: string;
  resource: string;
  role: string;
  identifier: string;
  /** Parameters of a good request, with an assertion never used before. */
  form(parameters?: Record<string, string>): Promise<Record<string, string>>;
  /** The same as the server sees it, with a fresh proof. */
  request(parameters?: Record<string, string>): Promise<OAuthRequest>;
  /** Sends it, with a fresh proof and a good nonce, and further headers. */
  send(parameters?: Record<string, string>, headers?: Record<string, string>): Promise<Answer>;
  /** One request, to be sent as often as the test likes. */
  prepared(parameters?: Record<string, string>): Promise<() => Promise<Answer>>;
}

export interface Answer {
  status: number;
  body: Record<string, unknown>;
}

export interface TokenClientOptions {
  agent?: Record<string, unknown>;
  credential?: Record<string, unknown>;
  token?: Record<string, unknown>;
  /** What the key is called by its owner. */
  kid?: string;
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const jti = () => randomBytes(12).toString('base64url');

/** A server in this process, or one in another whose nonces are its own affair. */
export type ServerForClients = Pick<TestServer, 'issuer' | 'address' | 'clock' | 'admin'> &
  Partial<Pick<TestServer, 'deps'>>;

/** Registers everything anew, by the admin API. Scopes are `tickets:read` and `tickets:write`. */
export async function tokenClient(server: ServerForClients, options: TokenClientOptions = {}): Promise<TokenClient> {
  const { issuer, clock, deps } = server;
  const tag = randomBytes(5).toString('hex');
  const identifier = `https://${tag}.example/tickets`;
  const scopes = ['tickets:read', 'tickets:write'];
  const post = (path: string, body: object) => server.admin<{ id: string }>('POST', path, body);
  const resource = await server.admin<{ id: string; organization: string }>('POST', '/resources', {
    identifier,
    name: `tickets ${tag}`,
    scopes: scopes.map((name) => ({ name })),
    operations: [{ name: 'read', method: 'GET', path: '/{id}', scope: ['tickets:read'] }],
    ...(options.token && { token: options.token }),
  });
  const role = await post('/roles', { name: `role-${tag}`, permissions: [{ resource: resource.id, scopes }] });
  const owner = await post('/people', { name: `Owner ${tag}`, email: `${tag}@example.com` });
  const agent = await post('/agents', {
    name: `agent-${tag}`,
    kind: 'ai_agent',
    owner: owner.id,
    purpose: `answers tickets ${tag}`,
    resources: [{ resource: resource.id, default: true, scope: ['tickets:read'] }],
    ...options.agent,
  });
  const jwk = { ...(await generateJwk('ES256')), ...(options.kid && { kid: options.kid }) };
  const credential = await post('/credentials', { agent: agent.id, jwk: publicJwk(jwk), ...options.credential });
  await server.admin('PUT', `/agents/${agent.id}/roles/${role.id}`);
  const signer = signerFrom(jwk);
  const tokenEndpoint = `${issuer}/oauth2/token`;

  const form = async (parameters: Record<string, string> = {}) => ({
    grant_type: 'client_credentials',
    client_assertion_type: assertionType,
    client_assertion: await createClientAssertion(signer, {
      clientId: agent.id,
      audience: issuer,
      now: clock.now(),
      jti: jti(),
    }),
    ...parameters,
  });
  const proof = () =>
    createDpopProof(signer, {
      htm: 'POST',
      htu: tokenEndpoint,
      now: clock.now(),
      jti: jti(),
      ...(deps && { nonce: deps.nonces.current(clock.now()) }),
    });
  const send = async ({ form, dpop }: { form: Record<string, string>; dpop: string }, headers = {}) => {
    const response = await fetch(tokenEndpoint.replace(issuer, server.address), {
      method: 'POST',
      headers: { ...headers, dpop },
      body: new URLSearchParams(form),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return {
    clientId: agent.id,
    credential: credential.id,
    signer,
    organization: resource.organization,
    owner: owner.id,
    resource: resource.id,
    role: role.id,
    identifier,
    form,
    async request(parameters) {
      const entries = Object.entries(await form(parameters));
      return {
        form: new Map(entries.map(([name, value]) => [name, [value]])),
        authorization: undefined,
        dpop: await proof(),
        context: { address: '127.0.0.1', at: clock.now() },
      };
    },
    send: async (parameters, headers) => send({ form: await form(parameters), dpop: await proof() }, headers),
    async prepared(parameters) {
      const request = { form: await form(parameters), dpop: await proof() };
      return () => send(request);
    },
  };
}
