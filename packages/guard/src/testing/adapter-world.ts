/** A guarded API behind a real server, and what a client sends to it. */
import http, { type IncomingMessage, type RequestOptions, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { certificateThumbprint, thumbprint } from '@bailiwick/protocol';
import type { Caller } from '../caller.ts';
import { createGuard, type Guard } from '../guard.ts';
import type { GuardOptions } from '../options.ts';
import { type TestCertificate, testCertificate } from './certificates.ts';
import { type FakeAgent, type FakeIssuer, fakeAgent, fakeIssuer, quiet } from './fake-issuer.ts';

/** What the guarded API answers in its routes: who called, and that a body arrives as it was sent. */
export type Seen = (caller: Caller) => { operation: string };

/** How a framework is put behind the guard: as a listener for a server of `node:http`, `node:https` or `node:http2`. */
export interface AdapterUnderTest {
  name: string;
  /** What a request outside of the resource is answered, without credentials: 404 where the guard stands below a path. */
  outside: 401 | 404;
  /**
   * Makes an API with `GET /api/tickets/purge`, `GET /api/tickets/:id` and `POST /api/tickets/:id/close`, which answer with what `seen` returns, as
   * JSON, and `POST /api/tickets/:id/echo`, which streams its body back.
   */
  listener(guard: Guard, seen: Seen): Promise<(request: IncomingMessage, response: ServerResponse) => unknown>;
}

export const authority = testCertificate('Test CA');
const server = testCertificate('localhost', authority);
/** Two clients; each has proven who it is to whoever asks for certificates. */
export const client = testCertificate('client', authority);
export const stranger = testCertificate('stranger', authority);

export type Transport = 'http' | 'https' | 'https, certificates asked for';

/** A request: good unless it says otherwise. */
export interface Sent {
  method?: string;
  path?: string;
  claims?: Record<string, unknown>;
  /** `none`: no credentials; `Bearer`: no proof. */
  scheme?: string;
  proof?: Parameters<FakeAgent['proof']>[0]['changes'];
  /** What the token is bound to, if not to the agent's key alone. */
  bound?: 'certificate' | 'key and certificate' | 'nothing';
  /** Raw, after the others: names and values by turns. */
  headers?: string[];
  host?: string;
  /** The certificate in the TLS connection. */
  certificate?: TestCertificate;
  body?: string;
}

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

export interface AdapterWorld {
  guard: Guard;
  port: number;
  /** Everybody whom a route has seen. */
  callers: Caller[];
  fake: FakeIssuer;
  problems: string[];
  headersFor(sent: Sent): Promise<string[]>;
  send(sent?: Sent): Promise<Reply>;
  close(): Promise<void>;
}

export const origin = 'https://api.example';
export const operations = [
  operation('read ticket', 'GET', '/tickets/{id}', 'tickets:read'),
  operation('close ticket', 'POST', '/tickets/{id}/close', 'tickets:write'),
  operation('echo', 'POST', '/tickets/{id}/echo', 'tickets:read'),
  operation('purge', 'GET', '/tickets/purge', 'tickets:purge'),
];

function operation(name: string, method: string, path: string, scope: string) {
  return { name, method, path, scope: [scope], sensitivity: 'low' as const };
}

/** Starts the API of an adapter on a port of its own. */
export async function adapterWorld(
  adapter: AdapterUnderTest,
  options: Partial<GuardOptions> = {},
  transport: Transport = 'http',
): Promise<AdapterWorld> {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const callers: Caller[] = [];
  const runtime = quiet(fake);
  const guard = createGuard(fake.options({ resource: `${origin}/api`, operations, runtime, ...options }));
  const seen: Seen = (caller) => {
    callers.push(caller);
    return { operation: caller.operation };
  };
  const running = serverFor(transport, await adapter.listener(guard, seen));
  await new Promise<void>((resolve) => running.listen(0, 'localhost', resolve));
  const { port } = running.address() as AddressInfo;

  async function headersFor(sent: Sent): Promise<string[]> {
    const { method = 'GET', path = '/api/tickets/7', scheme = 'DPoP', bound, claims, proof } = sent;
    if (scheme === 'none') return ['Host', sent.host ?? 'elsewhere.example', ...(sent.headers ?? [])];
    const jkt = thumbprint(agent.signer.publicJwk);
    const x5t = certificateThumbprint(client.der);
    const cnf = {
      certificate: { 'x5t#S256': x5t },
      'key and certificate': { jkt, 'x5t#S256': x5t },
      nothing: undefined,
    };
    const binding = bound === undefined ? {} : { cnf: cnf[bound] };
    const token = await agent.token({ aud: guard.resource, ...binding, ...claims });
    const url = `${origin}${path}`;
    const dpop = scheme === 'DPoP' ? ['DPoP', await agent.proof({ method, url, token, changes: proof ?? {} })] : [];
    const credentials = ['Authorization', `${scheme} ${token}`, ...dpop];
    return ['Host', sent.host ?? 'elsewhere.example', ...credentials, ...(sent.headers ?? [])];
  }

  return {
    guard,
    port,
    callers,
    fake,
    problems: runtime.problems,
    headersFor,
    async send(sent = {}) {
      const { method = 'GET', path = '/api/tickets/7', certificate, body } = sent;
      const secure = transport !== 'http';
      const tls = { ca: authority.cert, servername: 'localhost', ...(certificate && keyOf(certificate)) };
      const target = { host: 'localhost', port, method, path, headers: await headersFor(sent), agent: false as const };
      return exchange(secure ? https : http, secure ? { ...target, ...tls } : target, body);
    },
    close: () => new Promise((resolve) => running.close(() => resolve())),
  };
}

export const keyOf = ({ cert, key }: TestCertificate) => ({ cert, key });

/** What a server needs to ask clients for certificates of the test's CA. */
export const serverTls = { ...keyOf(server), ca: authority.cert };

function serverFor(transport: Transport, listener: (request: IncomingMessage, response: ServerResponse) => unknown) {
  if (transport === 'http') return http.createServer(listener);
  const requestCert = transport === 'https, certificates asked for';
  // Who has no certificate, or one of another CA, gets through to the guard: it is the one that is tested.
  return https.createServer({ ...serverTls, requestCert, rejectUnauthorized: false }, listener) as Server;
}

function exchange(module: typeof http | typeof https, options: RequestOptions, body?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = module.request(options);
    request.on('error', reject).on('response', async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
    });
    request.end(body);
  });
}
