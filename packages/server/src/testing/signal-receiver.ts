/** A receiver of security signals: an agent with streams, and a place of its own that signals can be pushed to. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { createRemoteJWKSet, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose';
import { adminClient, type Reply } from './admin-client.ts';
import { makeAuthority, makeCertificate } from './certificates.ts';
import type { TestServer } from './harness.ts';
import type { ServerForClients } from './token-client.ts';

export interface SignalReceiver {
  clientId: string;
  /** Sends a request to the API for agents with a fresh proof and a kept token. */
  call(method: string, path: string, body?: unknown): Promise<Reply>;
  /** Makes a stream that must be made. */
  stream(body?: object): Promise<Record<string, unknown> & { stream_id: string; aud: string }>;
  /** What waits in a stream now, verified by `jose` as any receiver would; what was there is acknowledged if `ack` says so. */
  fetch(stream: { stream_id: string; aud: string }, more?: object): Promise<Set[]>;
}

/** A SET that was verified. */
export interface Set {
  jti: string;
  header: Record<string, unknown>;
  claims: JWTPayload & {
    sub_id: Record<string, unknown>;
    txn: string;
    events: Record<string, Record<string, unknown>>;
  };
  /** The last part of the event's name, and what the event says. */
  event: string;
  says: Record<string, unknown>;
}

const random = () => randomBytes(6).toString('hex');

/** Registers one. @param options.scope what its tokens are for; `role: null`: it holds none */
export async function signalReceiver(
  server: ServerForClients,
  options: { organization?: string; scope?: string[]; role?: null } = {},
): Promise<SignalReceiver> {
  const { issuer, clock } = server;
  const at = options.organization === undefined ? '' : `?organization=${options.organization}`;
  const post = (where: string, body: object) => server.admin<{ id: string }>('POST', `${where}${at}`, body);
  const team = await post('/teams', { name: `team-${random()}` });
  const agent = await post('/agents', {
    name: `receiver-${random()}`,
    kind: 'workload',
    owner: team.id,
    resources: [{ resource: issuer, default: true, scope: options.scope ?? ['ssf.read', 'ssf.manage'] }],
    limits: { tokens_per_minute: 100_000 },
  });
  const jwk = await generateJwk('ES256');
  await server.admin('POST', '/credentials', { agent: agent.id, jwk: publicJwk(jwk) });
  await server.admin('PUT', `/agents/${agent.id}/roles/${await roleOf(server, 'signal-receiver')}`);
  const client = adminClient(server, { client_id: agent.id, jwk });
  const call: SignalReceiver['call'] = async (method, target, body) => {
    const accessToken = await client.token(issuer);
    const url = `${issuer}${target}`;
    const response = await fetch(url.replace(issuer, server.address), {
      method,
      headers: {
        authorization: `DPoP ${accessToken}`,
        dpop: await client.proof({ htm: method, htu: url.split('?')[0] as string, accessToken }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === '' ? undefined : JSON.parse(text),
    } as unknown as Reply;
  };
  return {
    clientId: agent.id,
    call,
    async stream(body = {}) {
      const { status, body: made } = await call('POST', '/ssf/streams', body);
      assert.equal(status, 201, JSON.stringify(made));
      return made as Awaited<ReturnType<SignalReceiver['stream']>>;
    },
    async fetch(stream, more = {}) {
      const question = { returnImmediately: true, ...more };
      const { status, body } = await call('POST', `/ssf/poll/${stream.stream_id}`, question);
      assert.equal(status, 200, JSON.stringify(body));
      const { sets } = body as { sets: Record<string, string> };
      return Promise.all(
        Object.entries(sets).map(async ([jti, set]) => {
          const read = await verified(server, set, stream.aud, clock.now());
          assert.equal(read.jti, jti);
          return read;
        }),
      );
    },
  };
}

export async function roleOf(server: ServerForClients, name: string): Promise<string> {
  const { items } = await server.admin<{ items: { id: string; name: string }[] }>('GET', `/roles?name=${name}`);
  return (items.find((role) => role.name === name) as { id: string }).id;
}

/** Reads a SET as a receiver does that knows nothing but the transmitter's metadata. */
export async function verified(
  server: Pick<TestServer, 'issuer' | 'address'>,
  set: string,
  audience: string,
  now: number,
): Promise<Set> {
  const metadata = (await (await fetch(`${server.address}${wellKnown(server.issuer)}`)).json()) as { jwks_uri: string };
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri.replace(server.issuer, server.address)));
  const { payload } = await jwtVerify(set, keys, {
    issuer: server.issuer,
    audience,
    typ: 'secevent+jwt',
    currentDate: new Date(now),
  });
  const claims = payload as Set['claims'];
  const [[type = '', says = {}] = []] = Object.entries(claims.events);
  assert.equal(Object.keys(claims.events).length, 1);
  return {
    jti: claims.jti as string,
    header: decodeProtectedHeader(set) as Record<string, unknown>,
    claims,
    event: type.slice(type.lastIndexOf('/') + 1),
    says,
  };
}

export function wellKnown(issuer: string): string {
  const { pathname } = new URL(issuer);
  return `/.well-known/ssf-configuration${pathname === '/' ? '' : pathname}`;
}

/** What was pushed somewhere. */
export interface Pushed {
  url: string;
  type: string | undefined;
  authorization: string | undefined;
  body: string;
}

export interface PushTarget {
  /** The address of its first path; others lie below. */
  url: string;
  heard: Pushed[];
  /** Answers 202, until a test says otherwise. */
  answer: (request: Pushed, response: ServerResponse) => void;
  /** Resolves when so many were heard in all. */
  heardAll(count: number): Promise<void>;
  close(): Promise<void>;
}

/** An authority of the Web that tests own: what it vouches for is believed by a server with `outbound.ca_file` set to `caFile`. */
export async function testWeb() {
  const always = { from: Date.UTC(2000, 0), until: Date.UTC(2049, 0) };
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-web-'));
  const authority = await makeAuthority('CN=Test Web', always);
  const { chain, key } = await makeCertificate({
    ...always,
    issuer: authority,
    names: [
      ['dns', 'localhost'],
      ['ip', '127.0.0.1'],
    ],
    purposes: ['1.3.6.1.5.5.7.3.1'],
  });
  const caFile = path.join(folder, 'ca.pem');
  writeFileSync(caFile, authority.pem);
  return { caFile, cert: chain, key, remove: () => rmSync(folder, { recursive: true }) };
}

export async function pushTarget(web: { cert: string; key: string }): Promise<PushTarget> {
  const sockets = new Set<Socket>();
  const waiting: { count: number; done: () => void }[] = [];
  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { 'content-type': type, authorization } = request.headers;
    const pushed = { url: request.url ?? '', type, authorization, body: Buffer.concat(parts).toString() };
    target.heard.push(pushed);
    target.answer(pushed, response);
    for (const one of waiting) if (target.heard.length >= one.count) one.done();
  };
  const server = createServer(web, (request, response) => void listener(request, response).catch(() => {}));
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const target: PushTarget = {
    url: `https://localhost:${port}/signals`,
    heard: [],
    answer: (_, response) => void response.writeHead(202).end(),
    async heardAll(count) {
      if (target.heard.length >= count) return;
      await new Promise<void>((done) => waiting.push({ count, done }));
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return target;
}

/** Lets the log be read on, so that what was done is in the streams. */
export async function told({ clock, deps }: TestServer): Promise<void> {
  clock.advance(600);
  await deps.consumers.settled();
}
