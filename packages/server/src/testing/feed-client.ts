/** A guard that follows the feed by hand: raw HTTP, signatures verified by `jose`, a view of its own. For tests of both ends. */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { type Agent, createAgent } from '@bailiwick/agent';
import {
  type FeedMessage,
  feedAppliedText,
  generateJwk,
  leaseEndText,
  leaseRequestText,
  type PrivateJwk,
  publicJwk,
} from '@bailiwick/protocol';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import type { ServerForClients } from './token-client.ts';

export interface FeedGuard {
  /** The guard's id, its agent's, and its key. */
  guard: string;
  agent: string;
  jwk: PrivateJwk;
  sdk: Agent;
  resource: string;
}

/** What a session's answers have told. */
export interface FeedSession {
  id: string;
  /** As it was answered. */
  opened: Record<string, unknown>;
  key: Buffer;
  /** The number that it is at. */
  at: number;
  floor: number | undefined;
  /** Tags and the number under which each was revoked last. */
  dead: Map<string, number>;
  /** The messages of the last answer. */
  last: FeedMessage[];
  /** Says what it has applied, and is given what follows, with a lease. Applies it. */
  lease(more?: LeaseOptions): Promise<FeedMessage[]>;
  /** The same as it comes over the wire. `forge` changes the body after the MAC was made. */
  post(more?: LeaseOptions, forge?: (body: Record<string, unknown>) => unknown): Promise<Response>;
  /** Says what it has applied, and asks for nothing; as it comes over the wire. `forge` changes the body after the MAC was made. */
  applied(
    more?: Pick<LeaseOptions, 'count' | 'applied'>,
    forge?: (body: Record<string, unknown>) => unknown,
  ): Promise<Response>;
  /** The same as text, for whatever way. */
  told(more?: Pick<LeaseOptions, 'count' | 'applied'>): Record<string, unknown>;
  giveBack(): Promise<Response>;
  /** Follows by a stream; messages are applied as they come. */
  stream(after?: number): Promise<FeedStream>;
  apply(messages: readonly string[]): Promise<FeedMessage[]>;
}

export interface LeaseOptions {
  count?: number;
  applied?: number;
  nonce?: string;
  wait_ms?: number;
  /** Another node. */
  address?: string;
}

export interface FeedStream {
  status: number;
  /** The next message; undefined once the stream has ended. */
  next(): Promise<FeedMessage | undefined>;
  close(): Promise<void>;
}

export const newNonce = () => randomBytes(12).toString('base64url');

/** Registers a guard of a resource, by the admin API. */
export async function feedGuard(
  server: ServerForClients,
  resource: string,
  options: { organization?: string } = {},
): Promise<FeedGuard> {
  const at = options.organization === undefined ? '' : `?organization=${options.organization}`;
  const tag = randomBytes(6).toString('hex');
  const team = await server.admin<{ id: string }>('POST', `/teams${at}`, { name: `team-${tag}` });
  const jwk = await generateJwk('ES256');
  const guard = await server.admin<{ id: string; agent: string }>('POST', `/guards${at}`, {
    name: `guard-${tag}`,
    resource,
    owner: team.id,
    jwk: publicJwk(jwk),
  });
  const sdk = feedSdk(server, guard.agent, jwk);
  return { guard: guard.id, agent: guard.agent, jwk, sdk, resource };
}

/** What proves itself as this agent. */
export const feedSdk = (
  { issuer, clock }: Pick<ServerForClients, 'issuer' | 'clock'>,
  agent: string,
  jwk: PrivateJwk,
  scope = ['feed:follow'],
): Agent => createAgent({ issuer, resource: issuer, clientId: agent, key: jwk, scope, now: clock.now });

/** Asks for a session; the answer as it comes. */
export const openRaw = ({ issuer }: { issuer: string }, sdk: Agent, body: unknown): Promise<Response> =>
  sdk.fetch(`${issuer}/feed`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

/** Opens a session. @param after the number that the guard is at */
export async function openFeedSession(
  server: ServerForClients,
  guard: Pick<FeedGuard, 'sdk' | 'resource'>,
  after?: number,
): Promise<FeedSession> {
  const nonce = newNonce();
  const response = await openRaw(server, guard.sdk, { nonce, ...(after !== undefined && { after }) });
  const opened = (await response.json()) as Record<string, unknown>;
  assert.equal(response.status, 200, JSON.stringify(opened));
  const keys = createLocalJWKSet((await (await fetch(`${server.address}/oauth2/jwks`)).json()) as JSONWebKeySet);
  let count = 0;

  const session: FeedSession = {
    id: opened.session as string,
    opened,
    key: Buffer.from(opened.key as string, 'base64url'),
    at: after ?? 0,
    floor: undefined,
    dead: new Map(),
    last: [],
    async apply(messages) {
      session.last = [];
      for (const jws of messages) {
        const { payload, protectedHeader } = await jwtVerify(jws, keys, {
          issuer: server.issuer,
          audience: guard.resource,
          typ: 'bailiwick-feed+jwt',
          currentDate: new Date(server.clock.now()),
        });
        assert.equal(protectedHeader.alg, 'ES256');
        const message = payload as unknown as FeedMessage;
        session.last.push(message);
        if (message.after === null) {
          session.dead.clear();
          session.floor = message.floor;
        } else if (message.after !== session.at) {
          if (message.rev <= session.at) continue; // told already, by the other road
          assert.fail(`the guard is at ${session.at}, the message follows on ${message.after}`);
        }
        for (const [rev, tag] of message.entries) session.dead.set(tag, rev);
        session.at = message.rev;
      }
      return session.last;
    },
    told(more = {}) {
      const told = { session: session.id, count: more.count ?? ++count, applied: more.applied ?? session.at };
      const mac = createHmac('sha256', session.key).update(feedAppliedText(told)).digest('base64url');
      const { session: _, ...rest } = told;
      return { ...rest, mac };
    },
    async applied(more = {}, forge = (body) => body) {
      return fetch(`${server.address}/feed/${session.id}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(forge(session.told(more))),
      });
    },
    async post(more = {}, forge = (body) => body) {
      const request = {
        session: session.id,
        count: more.count ?? ++count,
        applied: more.applied ?? session.at,
        nonce: more.nonce ?? newNonce(),
      };
      const mac = createHmac('sha256', session.key).update(leaseRequestText(request)).digest('base64url');
      const { session: _, ...rest } = request;
      const body = forge({ ...rest, mac, ...(more.wait_ms !== undefined && { wait_ms: more.wait_ms }) });
      return fetch(`${more.address ?? server.address}/feed/${session.id}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
    },
    async lease(more = {}) {
      const nonce = more.nonce ?? newNonce();
      const answer = await session.post({ ...more, nonce });
      const body = (await answer.json()) as { messages: string[] };
      assert.equal(answer.status, 200, JSON.stringify(body));
      const messages = await session.apply(body.messages);
      assert.ok(messages.at(-1)?.nonces?.includes(nonce), 'the answer is to this very request');
      return messages;
    },
    async giveBack() {
      const mac = createHmac('sha256', session.key)
        .update(leaseEndText({ session: session.id, count: ++count }))
        .digest('base64url');
      return fetch(`${server.address}/feed/${session.id}`, {
        method: 'DELETE',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ count, mac }),
      });
    },
    async stream(from = session.at) {
      const ending = new AbortController();
      const answer = await guard.sdk.fetch(`${server.issuer}/feed/${session.id}?after=${from}`, {
        headers: { accept: 'text/event-stream' },
        signal: ending.signal,
      });
      return streamOf(answer, ending, async (jws) => (await session.apply([jws]))[0] as FeedMessage);
    },
  };
  await session.apply(opened.messages as string[]);
  assert.ok(session.last.at(-1)?.nonces?.includes(nonce), 'the answer is to this very request');
  return session;
}

function streamOf(answer: Response, ending: AbortController, apply: (jws: string) => Promise<FeedMessage>): FeedStream {
  const reader = answer.ok ? answer.body?.pipeThrough(new TextDecoderStream()).getReader() : undefined;
  let unread = '';
  return {
    status: answer.status,
    async next() {
      for (;;) {
        const end = unread.indexOf('\n\n');
        if (end !== -1) {
          const event = unread.slice(0, end);
          unread = unread.slice(end + 2);
          const data = /^data: (.*)$/m.exec(event)?.[1];
          if (data !== undefined) return apply(data);
          continue;
        }
        const part = await reader?.read().catch(() => undefined);
        if (!part || part.done) return undefined;
        unread += part.value;
      }
    },
    async close() {
      ending.abort();
      await reader?.cancel().catch(() => undefined);
    },
  };
}
