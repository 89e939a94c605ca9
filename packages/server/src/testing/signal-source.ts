/** Another provider that pushes signals to us, made of `jose`. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { CompactSign, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import type { ConfigOverrides } from '../config.ts';
import { startServer } from './harness.ts';
import { testWeb } from './signal-receiver.ts';
import type { ServerForClients } from './token-client.ts';

export const issuer = 'https://idp.example';
export const audience = 'https://id.example/signals';
export const caep = 'https://schemas.openid.net/secevent/caep/event-type/';

/** As it is registered here. */
export interface PushingSource {
  id: string;
  push_url: string;
  secret: string;
}

export type Claims = JWTPayload & Record<string, unknown>;

/** What `signal.received` tells. */
export interface Heard {
  reason: string;
  decided_on: { set: string; agents: Record<string, unknown>[]; more?: number };
  personal: object;
}

export type SignalSource = Awaited<ReturnType<typeof signalSource>>;

/** Starts a server, and a provider that it hears. */
export async function signalSource(options: { database: 'sqlite' | 'postgres'; config?: ConfigOverrides }) {
  const web = await testWeb();
  const server = await startServer({
    ...options,
    config: { ...options.config, outbound: { ca_file: web.caFile, ...options.config?.outbound } },
  });
  const provider = await providerFor(server, web);
  return {
    ...provider,
    server,
    async close() {
      await server.close();
      provider.close();
      web.remove();
    },
  };
}

/** A provider that a server hears which believes this web. */
export async function providerFor(server: ServerForClients, web: { cert: string; key: string }) {
  const keys = await generateKeyPair('RS256');
  /** What it publishes. Both can be changed: to other keys, to an answer that never comes. */
  const jwks: unknown[] = [{ ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }];
  const other = {
    jwks,
    keysWanted: (response: ServerResponse): void => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: other.jwks }));
    },
  };
  const published = createServer({ cert: web.cert, key: web.key }, (_, response) => other.keysWanted(response));
  await new Promise<void>((resolve) => published.listen(0, '127.0.0.1', resolve));
  const jwksUri = `https://localhost:${(published.address() as AddressInfo).port}/jwks`;

  const made = (more: object = {}, at = '') =>
    server.admin<PushingSource>('POST', `/signal-sources${at}`, {
      name: `s-${randomUUID().slice(0, 8)}`,
      issuer,
      jwks_uri: jwksUri,
      audience: [audience],
      ...more,
    });
  const source = await made({ name: 'idp', subjects: ['agent', 'credential', 'email'] });

  const subjectOf = async (agent: string) => {
    const { subject } = await server.admin<{ subject: string }>('GET', `/agents/${agent}`);
    return { format: 'iss_sub', iss: server.issuer, sub: subject };
  };
  const claimsOf = (type: string, sub_id: unknown, says: object = {}): Claims => ({
    iss: issuer,
    aud: audience,
    iat: Math.floor(server.clock.now() / 1000),
    jti: randomUUID(),
    txn: 'what-happened',
    sub_id,
    events: { [type]: says },
  });
  const sign = (claims: Claims, header: object = {}, key = keys.privateKey) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'one', typ: 'secevent+jwt', ...header }).sign(key);
  /** What `SignJWT` can't make: it copies what it signs, and that ends where the stack does. */
  const signText = (text: string) =>
    new CompactSign(Buffer.from(text))
      .setProtectedHeader({ alg: 'RS256', kid: 'one', typ: 'secevent+jwt' })
      .sign(keys.privateKey);
  const push = async (body: string, to = source, headers: Record<string, string> = {}) => {
    const response = await fetch(to.push_url, {
      method: 'POST',
      headers: { 'content-type': 'application/secevent+jwt', authorization: to.secret, ...headers },
      body,
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  /** Tells what must be taken. @param more claims of the SET beside those of every one */
  const tell = async (type: string, sub_id: unknown, says: object = {}, to = source, more: object = {}) => {
    const claims = { ...claimsOf(caep + type, sub_id, says), ...more };
    assert.deepEqual(await push(await sign(claims), to), { status: 202, body: undefined });
    return claims;
  };
  const statusOf = async (agent: string) => (await server.admin<{ status: string }>('GET', `/agents/${agent}`)).status;
  const heard = async (jti: unknown, of = source) => {
    const target = `/events?type=signal.received&target=${of.id}&limit=200`;
    const { items } = await server.admin<{ items: Heard[] }>('GET', target);
    return items.filter(({ decided_on }) => decided_on.set === jti);
  };
  /** What came of a SET, for each agent. */
  const outcome = async (jti: unknown, of = source) => {
    const [event, ...more] = await heard(jti, of);
    assert.equal(more.length, 0);
    return event?.decided_on.agents.map(({ effect, concerns }) => [effect, concerns]);
  };

  return {
    source,
    other,
    jwksUri,
    made,
    subjectOf,
    claimsOf,
    sign,
    signText,
    push,
    tell,
    statusOf,
    heard,
    outcome,
    close() {
      published.close();
      published.closeAllConnections();
    },
  };
}
