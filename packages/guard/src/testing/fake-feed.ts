/** The feed of an identity provider in memory, and what can go wrong with one. */
import { createHmac, createPrivateKey, randomBytes } from 'node:crypto';
import {
  encodeHeader,
  type FeedEntry,
  type FeedMessage,
  feedAppliedText,
  feedMessageType,
  leaseEndText,
  leaseRequestText,
  linkTag,
  type PrivateJwk,
  signFeedMessage,
} from '@bailiwick/protocol';

export interface FakeFeed {
  leaseMs: number;
  heartbeatMs: number;
  whenLost: string;
  /** Sessions that were opened, given back and are open. */
  opened: number;
  ended: number;
  sessions: Map<string, { key: Buffer; applied: number; leaseEndsAt: number }>;
  /** Every request for a lease, and every acknowledgement alone. */
  asked: { count: number; applied: number; wait_ms?: number; isLine?: true }[];
  /** Lines over which guards say what they have applied: those that are open, and what becomes of the next one. */
  lines: Set<{ cut(): void }>;
  linesAre: 'heard' | 'unheard' | 'unwanted' | 'cut';
  readsLines: boolean;
  /** Streams that are open, by what they were sent up to. */
  streams: Set<FakeStream>;
  streamed: number;
  /** The number of the last revocation. */
  head: number;
  /** Numbers up to this one aren't told to who begins anew. */
  floor: number;
  /** Nothing is answered, though connections are taken. */
  hangs: boolean;
  /** Streams bring nothing: `head` not even their head, `body` nothing behind it. */
  holdsBack: 'head' | 'body' | undefined;
  /** Streams are answered so. */
  streamStatus: number;
  /** Changes messages before they are signed, or what was signed. */
  forge: (message: FeedMessage) => FeedMessage;
  tamper: (compact: string) => string;
  /** Signs with this in place of the issuer's key. */
  key: PrivateJwk | undefined;
  /** Revokes what is called so: tokens of before are dead. Answers its number. */
  revoke(id: string, lives?: number): number;
  /** One more message, to all streams. */
  send(message: Partial<FeedMessage>): void;
  sendRaw(data: string): void;
  messageOf(message: Partial<FeedMessage>): string;
  /** A sign of life to all streams. */
  beat(): void;
  /** Ends all streams. */
  cut(): void;
  /** Whether nobody who holds a lease can take a token for alive that was revoked up to this number. */
  isAcknowledged(rev: number): boolean;
  answer(url: URL, init: RequestInit | undefined): Promise<Response>;
}

export interface FakeStream {
  sent: number;
  write(text: string): void;
  close(): void;
}

export function fakeFeed(options: {
  issuer: string;
  resource: string;
  now: () => number;
  later: (ms: number, work: () => void) => unknown;
  key: () => PrivateJwk;
}): FakeFeed {
  const { issuer, resource, now, later } = options;
  const entries: FeedEntry[] = [];
  let waiting: (() => void)[] = [];
  const stream = (message: FeedMessage) => `id: ${message.rev}\ndata: ${signed(message)}\n\n`;

  function signed(message: FeedMessage): string {
    const jwk = feed.key ?? options.key();
    const header = encodeHeader({ typ: feedMessageType, alg: 'ES256', kid: jwk.kid as string });
    const key = createPrivateKey({ key: { ...jwk }, format: 'jwk' });
    return feed.tamper(signFeedMessage(header, feed.forge(message), { alg: 'ES256', key }));
  }

  function message(after: number | null, more: Partial<FeedMessage> = {}): FeedMessage {
    const above = after ?? feed.floor;
    return {
      iss: issuer,
      aud: resource,
      iat: Math.floor(now() / 1000),
      after,
      rev: feed.head,
      entries: entries.filter(([rev, , until]) => rev > above && until * 1000 > now()),
      ...(after === null && feed.floor > 0 ? { floor: feed.floor } : {}),
      ...more,
    };
  }

  const startOf = (after: number | undefined) => (after === undefined || after > feed.head ? null : after);

  function push(): void {
    for (const one of feed.streams) {
      if (one.sent >= feed.head) continue;
      one.write(stream(message(one.sent)));
      one.sent = feed.head;
    }
    const all = waiting;
    waiting = [];
    for (const wake of all) wake();
  }

  function open(body: { nonce: string; after?: number }): Response {
    const id = `session-${++feed.opened}`;
    const key = randomBytes(32);
    const after = startOf(body.after);
    feed.sessions.set(id, { key, applied: after ?? 0, leaseEndsAt: now() + feed.leaseMs });
    return Response.json({
      session: id,
      key: key.toString('base64url'),
      lease_ms: feed.leaseMs,
      when_lost: feed.whenLost,
      heartbeat_ms: feed.heartbeatMs,
      messages: [signed(message(after, { nonces: [body.nonce], lease: feed.leaseMs }))],
    });
  }

  async function ask(id: string, body: Record<string, never>, isLine?: true): Promise<Response> {
    const session = feed.sessions.get(id);
    const { count, applied, nonce, mac, wait_ms } = body as unknown as Record<string, number> & {
      nonce: string;
      mac: string;
    };
    const told = { session: id, count: count as number, applied: applied as number };
    const text = nonce === undefined ? feedAppliedText(told) : leaseRequestText({ ...told, nonce });
    if (session === undefined) return Response.json({ error: 'unknown-session' }, { status: 404 });
    if (mac !== createHmac('sha256', session.key).update(text).digest('base64url'))
      return Response.json({ error: 'bad mac' }, { status: 401 });
    feed.asked.push({
      count: count as number,
      applied: applied as number,
      ...(wait_ms !== undefined && { wait_ms }),
      ...(isLine && { isLine }),
    });
    session.applied = Math.max(session.applied, applied as number);
    if (nonce === undefined) {
      await new Promise(setImmediate); // over a network, more comes in meanwhile
      return new Response(null, { status: 204 });
    }
    session.leaseEndsAt = now() + feed.leaseMs;
    if (wait_ms !== undefined && applied === feed.head) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        later(wait_ms, resolve);
      });
    }
    return Response.json({
      messages: [signed(message(startOf(applied), { nonces: ['another guard’s', nonce], lease: feed.leaseMs }))],
    });
  }

  async function hear(id: string, body: ReadableStream<string>, signal: AbortSignal | null | undefined) {
    if (feed.linesAre === 'unheard') return neverUntil(signal);
    const lines = body.getReader();
    const next = async () => {
      const { value, done } = await lines.read();
      if (done) return false;
      return (await ask(id, JSON.parse(value), true)).ok;
    };
    if (!(await next())) return new Response(null, { status: 404 });
    if (feed.linesAre === 'unwanted') return new Response(null, { status: 204 });
    let answer: ReadableStreamDefaultController;
    const open = {
      cut() {
        if (feed.lines.delete(open)) answer.close();
      },
    };
    feed.lines.add(open);
    const response = new Response(
      new ReadableStream({
        start(controller) {
          answer = controller;
        },
      }),
    );
    if (feed.linesAre === 'cut') open.cut();
    void (async () => {
      try {
        while (feed.lines.has(open) && feed.readsLines && (await next()));
        if (!feed.readsLines) return;
      } catch {}
      open.cut();
    })();
    return response;
  }

  function end(id: string, { count, mac }: { count: number; mac: string }): Response {
    const session = feed.sessions.get(id);
    const right = session && createHmac('sha256', session.key).update(leaseEndText({ session: id, count }));
    if (mac !== right?.digest('base64url')) return new Response(null, { status: 401 });
    feed.sessions.delete(id);
    feed.ended += 1;
    return new Response(null, { status: 204 });
  }

  async function follow(id: string, after: number, signal: AbortSignal | null | undefined): Promise<Response> {
    if (!feed.sessions.has(id)) return new Response('{}', { status: 404 });
    if (feed.streamStatus !== 200) return new Response('{}', { status: feed.streamStatus });
    feed.streamed += 1;
    if (feed.holdsBack === 'head') return neverUntil(signal);
    const encoder = new TextEncoder();
    let one: FakeStream;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        one = {
          sent: after,
          write: (text) => {
            if (feed.holdsBack === undefined) controller.enqueue(encoder.encode(text));
          },
          close() {
            if (feed.streams.delete(one)) controller.close();
          },
        };
        feed.streams.add(one);
        signal?.addEventListener('abort', () => {
          if (feed.streams.delete(one)) controller.error(new Error('aborted'));
        });
        one.write(':\n\n');
      },
      cancel() {
        feed.streams.delete(one);
      },
    });
    push();
    return new Response(body, { headers: { 'content-type': 'text/event-stream; charset=utf-8' } });
  }

  const feed: FakeFeed = {
    leaseMs: 2000,
    heartbeatMs: 1000,
    whenLost: 'introspect',
    opened: 0,
    ended: 0,
    sessions: new Map(),
    asked: [],
    lines: new Set(),
    linesAre: 'heard',
    readsLines: true,
    streams: new Set(),
    streamed: 0,
    head: 0,
    floor: 0,
    hangs: false,
    holdsBack: undefined,
    streamStatus: 200,
    forge: (one) => one,
    tamper: (compact) => compact,
    key: undefined,
    revoke(id, lives = 960) {
      feed.head += 1;
      entries.push([feed.head, linkTag(id), Math.floor(now() / 1000) + lives]);
      push();
      return feed.head;
    },
    send: (more) => feed.sendRaw(feed.messageOf(more)),
    sendRaw(data) {
      for (const one of feed.streams) one.write(`data: ${data}\n\n`);
    },
    messageOf: (more) => signed(message(feed.head, more)),
    beat() {
      for (const one of feed.streams) one.write(':\n\n');
    },
    cut() {
      for (const one of [...feed.streams]) one.close();
    },
    isAcknowledged: (rev) =>
      [...feed.sessions.values()].every(({ applied, leaseEndsAt }) => applied >= rev || leaseEndsAt <= now()),
    async answer(url, init) {
      if (feed.hangs) return neverUntil(init?.signal);
      const [, , id, what] = url.pathname.split('/');
      if (what === 'applied') return hear(id as string, init?.body as ReadableStream<string>, init?.signal);
      const body = init?.body === undefined || init.body === null ? {} : JSON.parse(String(init.body));
      if (id === undefined) return open(body);
      if (init?.method === 'POST') return ask(id, body);
      if (init?.method === 'DELETE') return end(id, body);
      return follow(id, Number(url.searchParams.get('after')), init?.signal);
    },
  };
  return feed;
}

function neverUntil(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
}
