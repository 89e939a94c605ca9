/** What a guard sends to the feed of its identity provider, and in which form answers come back. */
import { createHmac } from 'node:crypto';
import { createAgent } from '@bailiwick/agent';
import { feedAppliedText, leaseEndText, leaseRequestText, type Signer } from '@bailiwick/protocol';
import { fetchJson, reasonOf, Unavailable } from '../json-client.ts';
import type { Runtime } from '../runtime.ts';

/** What is done while nothing can be known. */
export type WhenLost = 'introspect' | 'refuse';

export interface FeedSession {
  id: string;
  /** Its own, which is long and says nothing to people, and that of the feed. */
  url: string;
  endpoint: string;
  /** Authenticates requests of this session: 32 bytes. */
  key: Buffer;
  /** How long leases are, and the pause between signs of life on a stream (ms). */
  leaseMs: number;
  heartbeatMs: number;
  whenLost: WhenLost;
}

/** A request of a session, before it is authenticated. */
export interface Asking {
  session: FeedSession;
  count: number;
  applied: number;
  nonce: string;
}

export interface FeedWire {
  /** @throws Unavailable */
  open(
    endpoint: string,
    asking: { nonce: string; after: number | undefined; signal: AbortSignal },
  ): Promise<{ session: FeedSession; messages: unknown[] }>;
  /** @throws Unavailable; with a status where the identity provider has answered: then the session is over */
  ask(asking: Asking & { waitMs: number | undefined; signal: AbortSignal }): Promise<unknown[]>;
  /** Says what was applied, and asks for nothing. @throws Unavailable; with a status where the identity provider has answered: then the session is over */
  applied(told: Omit<Asking, 'nonce'> & { signal: AbortSignal }): Promise<void>;
  /** The same as it is sent. */
  told(told: Omit<Asking, 'nonce'>): string;
  /** Says it line by line for as long as this body goes on. Answered 200 once the first was heard and more are welcome. @throws what fetch does */
  lines(session: FeedSession, body: ReadableStream<string>, signal: AbortSignal): Promise<Response>;
  /** The stream's answer, before anything of it was read. @throws what fetch does */
  stream(session: FeedSession, after: number, signal: AbortSignal): Promise<Response>;
  /** Gives the lease back. */
  end(asking: Pick<Asking, 'session' | 'count'>): Promise<void>;
}

/** As much as can be told at once: 200,000 revocations, with room. */
const mostBytes = 32 * 1024 * 1024;
/** Behind the signal that whoever asks brings along. */
const lastResortMs = 60_000;
const hints = {
  401: 'is the credential of this guard still registered, and is the clock right?',
  403: 'is the credential that of a guard of this resource?',
};
const options = { maxBytes: mostBytes, timeoutMs: lastResortMs, hints };

/** The guard's own identity opens a session; from then on the session's key speaks for it. */
export function feedWire(options_: {
  runtime: Runtime;
  issuer: string;
  credential: { clientId: string; signer: Signer };
}): FeedWire {
  const { runtime, issuer, credential } = options_;
  const agent = createAgent({
    issuer,
    resource: issuer,
    scope: 'feed:follow',
    clientId: credential.clientId,
    key: credential.signer,
    fetch: runtime.follow,
    now: runtime.now,
  });
  const asGuard = { fetch: (input: unknown, init?: RequestInit) => agent.fetch(input as string, init) };
  const plain = { fetch: runtime.follow };

  return {
    async open(endpoint, { nonce, after, signal }) {
      const answer = await fetchJson(
        asGuard as Pick<Runtime, 'fetch'>,
        endpoint,
        jsonOf('POST', { nonce, ...(after !== undefined && { after }) }, signal),
        options,
      );
      return { session: sessionIn(endpoint, answer), messages: messagesIn(answer) };
    },
    async ask({ waitMs, signal, ...asking }) {
      const body = { ...authenticated(asking), ...(waitMs !== undefined && { wait_ms: waitMs }) };
      const { url, endpoint: named } = asking.session;
      return messagesIn(await fetchJson(plain, url, jsonOf('POST', body, signal), { ...options, named }));
    },
    async applied({ signal, ...told }) {
      const { url, endpoint } = told.session;
      const response = await runtime.follow(url, bodyOf('POST', toldText(told), signal)).catch((error) => {
        throw new Unavailable(`${endpoint} can't be reached: ${reasonOf(error)}`);
      });
      await response.body?.cancel();
      if (response.status !== 204) throw new Unavailable(`${endpoint} answered ${response.status}`, response.status);
    },
    told: toldText,
    lines: ({ url }, body, signal) =>
      runtime.follow(`${url}/applied`, {
        method: 'POST',
        headers: { 'content-type': 'application/jsonl' },
        body: body as ReadableStream,
        duplex: 'half',
        signal,
      } as RequestInit),
    stream: ({ url }, after, signal) =>
      agent.fetch(`${url}?after=${after}`, { headers: { accept: 'text/event-stream' }, signal }),
    async end({ session, count }) {
      const mac = macOf(session, leaseEndText({ session: session.id, count }));
      const signal = AbortSignal.timeout(2_000);
      const response = await runtime.follow(session.url, jsonOf('DELETE', { count, mac }, signal));
      await response.body?.cancel();
    },
  };
}

const bodyOf = (method: string, body: string, signal: AbortSignal) => ({
  method,
  headers: { 'content-type': 'application/json' },
  body,
  signal,
});

const jsonOf = (method: string, body: object, signal: AbortSignal) => bodyOf(method, JSON.stringify(body), signal);

function toldText({ session, count, applied }: Omit<Asking, 'nonce'>): string {
  const mac = macOf(session, feedAppliedText({ session: session.id, count, applied }));
  return JSON.stringify({ count, applied, mac });
}

function authenticated({ session, count, applied, nonce }: Asking): object {
  const mac = macOf(session, leaseRequestText({ session: session.id, count, applied, nonce }));
  return { count, applied, nonce, mac };
}

const macOf = ({ key }: FeedSession, text: string) => createHmac('sha256', key).update(text).digest('base64url');

function sessionIn(endpoint: string, answer: Record<string, unknown>): FeedSession {
  const { session: id, key, lease_ms, heartbeat_ms, when_lost } = answer;
  const bytes = Buffer.from(typeof key === 'string' ? key : '', 'base64url');
  // it becomes a part of a URL: nothing that could lead elsewhere
  if (typeof id !== 'string' || !/^[\w.~-]{1,1024}$/.test(id) || /^\.{1,2}$/.test(id)) throw unusable('session');
  if (bytes.length !== 32) throw unusable('key');
  if (!isDuration(lease_ms)) throw unusable('lease_ms');
  if (!isDuration(heartbeat_ms)) throw unusable('heartbeat_ms');
  return {
    id,
    url: `${endpoint}/${id}`,
    endpoint,
    key: bytes,
    leaseMs: lease_ms,
    heartbeatMs: heartbeat_ms,
    // a word of a later version is none that lets anybody in
    whenLost: when_lost === 'introspect' ? 'introspect' : 'refuse',
  };
}

function messagesIn({ messages }: Record<string, unknown>): unknown[] {
  if (!Array.isArray(messages)) throw unusable('messages');
  return messages;
}

const isDuration = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 50 && value <= 3_600_000;

const unusable = (what: string) =>
  new Unavailable(`the feed of the identity provider answered without a usable ${what}`);
