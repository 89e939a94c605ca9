/**
 * Tokens that are bound to a certificate, from a real server, at an API behind the guard: over TLS that ends in the API's own
 * process, and behind a real nginx. What a resource has to check: RFC 8705 §3, RFC 9440.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createDpopProof, generateJwk, publicJwk } from '@bailiwick/protocol';
import { createGuard, type Guard, type GuardOptions } from '../packages/guard/src/index.ts';
import { systemTool } from '../packages/server/src/testing/system-tool.ts';
import { type TlsRequestOptions, tlsRequest } from '../packages/server/src/testing/tls-request.ts';
import type { TokenClient } from '../packages/server/src/testing/token-client.ts';
import { type MutualTls, makeCertificate, openMutualTls, type TestCertificate, type TlsReply } from './mutual-tls.ts';
import { startNginx } from './nginx.ts';

const nginx = systemTool('nginx');
const operations = [
  { name: 'read', method: 'GET', path: '/{id}', scope: ['tickets:read'], sensitivity: 'low' as const },
];

let world: MutualTls;
let client: TokenClient;
let own: TestCertificate;
let another: TestCertificate;
let server: TestCertificate;
let guardCredential: NonNullable<GuardOptions['credential']>;

before(async () => {
  world = await openMutualTls('sqlite');
  own = await makeCertificate({ subject: 'CN=desk' });
  another = await makeCertificate({ subject: 'CN=desk' });
  server = await makeCertificate({ subject: 'CN=api', names: [['dns', 'localhost']], purposes: [] });
  client = await world.agent({ kind: 'certificate', certificate: own.pem });
  const jwk = await generateJwk('ES256');
  const { agent } = await world.server.admin<{ agent: string }>('POST', '/guards', {
    name: 'tickets-guard',
    resource: client.identifier,
    owner: client.owner,
    jwk: publicJwk(jwk),
  });
  guardCredential = { client_id: agent, jwk };
});
after(() => world.close());

const guardOf = (more: Partial<GuardOptions> = {}): Guard =>
  createGuard({
    issuer: world.server.issuer,
    resource: client.identifier,
    credential: guardCredential,
    operations,
    introspection: { cacheSeconds: 0 },
    now: world.clock.now,
    ...more,
  });

/** An API over TLS or plain, behind its guard. */
async function api(context: { after(work: () => unknown): void }, guard: Guard, tls: boolean): Promise<number> {
  const listener = guard.node((_, response, { agent, proof }) => response.end(JSON.stringify({ agent, proof })));
  const options = { key: server.key, cert: server.pem, requestCert: true, rejectUnauthorized: false };
  const running = tls ? https.createServer(options, listener) : http.createServer(listener);
  running.listen(0, '127.0.0.1');
  await once(running, 'listening');
  context.after(() => {
    guard.close();
    running.closeAllConnections();
    running.close();
  });
  return (running.address() as AddressInfo).port;
}

/** A token bound to the agent's certificate; and to its key, if it is to be `DPoP`. */
async function tokenFor(withKey = false): Promise<string> {
  const ask = async (nonce?: string) => {
    const htu = `${world.server.mtlsUrl}/oauth2/token`;
    const headers: Record<string, string> = withKey
      ? { dpop: await proof({ htm: 'POST', htu, ...(nonce !== undefined && { nonce }) }) }
      : {};
    return world.token(own, { client_id: client.clientId }, { headers });
  };
  const first = await ask();
  const reply = first.json?.error === 'use_dpop_nonce' ? await ask(String(first.headers['dpop-nonce'])) : first;
  assert.equal(reply.status, 200, `${reply.text} ${world.lastReason()}`);
  assert.equal(reply.json.token_type, withKey ? 'DPoP' : 'Bearer');
  return reply.json.access_token;
}

const proof = (input: { htm: string; htu: string; nonce?: string; accessToken?: string }): Promise<string> =>
  createDpopProof(client.signer, { now: world.clock.now(), jti: randomUUID(), ...input });

const call = (base: string, token: string, more: TlsRequestOptions = {}): Promise<TlsReply> =>
  tlsRequest(`${base}/tickets/1`, { ...more, headers: { authorization: `Bearer ${token}`, ...more.headers } });

function assertRefused(reply: TlsReply): void {
  assert.equal(reply.status, 401, reply.text);
  assert.equal(reply.json.error, 'invalid_token');
  assert.match(String(reply.headers['www-authenticate']), /Bearer error="invalid_token"/);
}

describe('a resource that ends TLS itself', () => {
  test('takes a token from the client whose certificate it is bound to', async (context) => {
    const base = `https://localhost:${await api(context, guardOf(), true)}`;
    const reply = await call(base, await tokenFor(), { certificate: own });
    assert.deepEqual([reply.status, reply.json], [200, { agent: client.clientId, proof: 'certificate' }], reply.text);
  });

  test('refuses it with another certificate, without one, and with one that only a header tells of', async (context) => {
    const base = `https://localhost:${await api(context, guardOf(), true)}`;
    const token = await tokenFor();
    assertRefused(await call(base, token, { certificate: another }));
    assertRefused(await call(base, token));
    const headers = { 'client-cert': `:${own.der.toString('base64')}:` };
    assertRefused(await call(base, token, { headers }));
    assertRefused(await call(base, token, { certificate: another, headers }));
  });

  test('checks key and certificate of a token that is bound to both', async (context) => {
    const base = `https://localhost:${await api(context, guardOf(), true)}`;
    const token = await tokenFor(true);
    const bound = async () => ({
      authorization: `DPoP ${token}`,
      dpop: await proof({ htm: 'GET', htu: `${client.identifier}/1`, accessToken: token }),
    });
    const both = await call(base, token, { certificate: own, headers: await bound() });
    assert.deepEqual([both.status, both.json?.proof], [200, 'dpop and certificate'], both.text);
    assert.equal((await call(base, token, { certificate: another, headers: await bound() })).status, 401);
    assert.equal((await call(base, token, { headers: await bound() })).status, 401);
    assertRefused(await call(base, token, { certificate: own }));
    const { authorization } = await bound();
    assert.equal((await call(base, token, { certificate: own, headers: { authorization } })).status, 401);
  });

  test('refuses it once it was given up', async (context) => {
    const base = `https://localhost:${await api(context, guardOf(), true)}`;
    const token = await tokenFor();
    assert.equal((await call(base, token, { certificate: own })).status, 200);
    await world.post('/oauth2/revoke', own, { client_id: client.clientId, token });
    assertRefused(await call(base, token, { certificate: own }));
  });

  test('says in its metadata that it takes such tokens', async (context) => {
    const guard = guardOf();
    const base = `https://localhost:${await api(context, guard, true)}`;
    const { json } = await tlsRequest(base + new URL(guard.metadataUrl).pathname);
    assert.equal(json.tls_client_certificate_bound_access_tokens, true);
    assert.equal(json.dpop_bound_access_tokens_required, false);
  });
});

describe('a resource behind nginx', { skip: 'skip' in nginx && nginx.skip }, () => {
  const program = 'path' in nginx ? nginx.path : '';

  test('believes what nginx says of the certificate, and nobody else', async (context) => {
    const port = await api(context, guardOf({ clientCertificate: { proxies: ['127.0.0.1'] } }), false);
    const proxy = await startNginx({ program, behind: port, certificate: server });
    context.after(() => proxy.close());
    const token = await tokenFor();
    const reply = await call(proxy.url, token, { certificate: own });
    assert.deepEqual([reply.status, reply.json?.proof], [200, 'certificate'], reply.text);
    const headers = { 'client-cert': `:${own.der.toString('base64')}:` };
    assertRefused(await call(proxy.url, token, { certificate: another }));
    assertRefused(await call(proxy.url, token, { certificate: another, headers }));
    assertRefused(await call(proxy.url, token, { headers }));
  });

  test('believes nothing where nginx is not the proxy that was named', async (context) => {
    const port = await api(context, guardOf({ clientCertificate: { proxies: ['10.0.0.7'] } }), false);
    const proxy = await startNginx({ program, behind: port, certificate: server });
    context.after(() => proxy.close());
    assertRefused(await call(proxy.url, await tokenFor(), { certificate: own }));
  });
});
