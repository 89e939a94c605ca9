// A server, and agents that are known by the certificates of their connections.
import assert from 'node:assert/strict';
import { type FakeClock, fakeClock } from '../packages/server/src/lib/clock.ts';
import { makeAuthority, makeCertificate, type TestCertificate } from '../packages/server/src/testing/certificates.ts';
import { startServer, type TestServer, testEpoch } from '../packages/server/src/testing/harness.ts';
import { type TlsReply, type TlsRequestOptions, tlsRequest } from '../packages/server/src/testing/tls-request.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import type { DatabaseName } from './world.ts';

export type { TestCertificate, TlsReply };

export interface MutualTls {
  server: TestServer;
  clock: FakeClock;
  /** An authority of our own making, for certificates of clients. */
  authority: TestCertificate;
  /** A new agent with a credential, and that credential's id. */
  agent(credential: Record<string, unknown>, more?: Record<string, unknown>): Promise<TokenClient & { added: string }>;
  /** Asks for a token at the listener for mutual TLS. */
  token: Ask;
  /** The same at any endpoint, without a grant type. */
  post(path: string, ...ask: Parameters<Ask>): Promise<TlsReply>;
  /** Why authentication failed the last time, as the log would have it. */
  lastReason(): string | undefined;
  close(): Promise<void>;
}

type Ask = (
  certificate: TestCertificate | undefined,
  form: Record<string, string>,
  more?: TlsRequestOptions,
) => Promise<TlsReply>;

type ServerConfig = NonNullable<NonNullable<Parameters<typeof startServer>[0]>['config']>;

export async function openMutualTls(database: DatabaseName, config: ServerConfig = {}): Promise<MutualTls> {
  const clock = fakeClock(testEpoch);
  const server = await startServer({ database, config, clock });
  const authority = await makeAuthority('CN=Example Root,O=Example');
  const { failures } = server.deps;
  const post: MutualTls['post'] = (path, certificate, form, more) => {
    failures.counts.clear();
    return tlsRequest(server.mtlsUrl + path, { certificate, form, ...more });
  };
  return {
    server,
    clock,
    authority,
    post,
    async agent(credential, more = {}) {
      const client = await tokenClient(server, more);
      const body = { agent: client.clientId, ...credential };
      const added = await server.admin<{ id: string }>('POST', '/credentials', body);
      return { ...client, added: added.id };
    },
    token: (certificate, form, more) =>
      post('/oauth2/token', certificate, { grant_type: 'client_credentials', ...form }, more),
    lastReason: () => [...failures.counts.values()].at(-1)?.reason,
    close: () => server.close(),
  };
}

/** What a token says, without looking at its signature. */
export function payloadOf(token: unknown): Record<string, unknown> {
  return JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString());
}

/** What everybody hears who fails to prove who they are, and not a word more. */
export function assertFailed(reply: TlsReply): void {
  assert.equal(reply.status, 401, reply.text);
  assert.deepEqual(reply.json, { error: 'invalid_client', error_description: 'client authentication failed' });
  assert.equal(reply.headers['cache-control'], 'no-store');
}

export { makeAuthority, makeCertificate };
