/**
 * Follows the feed of one resource, for as long as the guard lives: opens a session, acknowledges at once what it learned, renews its lease each third
 * of it (where both are due, by one request), and hears of news by a stream, or by asking where a proxy lets no stream through.
 *
 * Nothing here throws, and nothing keeps the process alive. Whatever fails, the lease runs out by itself, and then nobody trusts what is known here.
 */
import type { FeedMessage } from '@bailiwick/protocol';
import type { IssuerState } from '../issuer.ts';
import { Unavailable } from '../json-client.ts';
import type { Refreshed } from '../refreshed.ts';
import type { Registration } from '../registration.ts';
import type { Runtime } from '../runtime.ts';
import { type Acknowledgements, acknowledgements } from './acknowledgements.ts';
import { keyWatch } from './keys.ts';
import { feedLease, type Lease } from './lease.ts';
import { BadFeed, type FeedReader, feedReader } from './messages.ts';
import { type News, newsOf } from './news.ts';
import { anyTimeUpTo, backoff, orAborted, pause } from './pauses.ts';
import { type FeedView, feedView } from './view.ts';
import type { FeedSession, FeedWire, WhenLost } from './wire.ts';

export interface FeedClient {
  readonly view: FeedView;
  readonly lease: Lease;
  /** The id of the resource whose revocations these are; undefined until it is known. */
  readonly resource: string | undefined;
  /** Whether this is the tag of a key that was revoked while the guard knew it, however long ago. */
  isRevokedKey(tag: string): boolean;
  /** Whether the identity provider has a feed; undefined until that is known. */
  readonly isOffered: boolean | undefined;
  /** What the identity provider said is to be done without a lease; undefined until a session was open. */
  readonly whenLost: WhenLost | undefined;
  /** How news come in. */
  readonly transport: 'stream' | 'poll';
  /** Begins, unless it has begun. Again after a while: an identity provider may have got a feed meanwhile. */
  start(): void;
  /** Resolves when the attempt that is under way is over, however it ends, or so many ms; at once if none is. Begins, if that has to be done. */
  attempt(mostMs: number): Promise<void>;
  /** Gives the lease back and ends. */
  close(): void;
}

/** A lease that can't be renewed is tried again at the latest after so long, while it runs; and once it has run out. */
const mostPauseMs = { held: 500, lost: 5_000 };
/** How long an answer is waited for: not longer than a third of a lease, and this (ms). */
const mostAnswerMs = 5_000;
const openMs = 10_000;
/** Revocations are told for a quarter of an hour: who was away for longer (ms), or is told that there were too many, wasn't told of all. */
const untoldMs = 10 * 60_000;

export function feedClient(options: {
  runtime: Runtime;
  issuer: string;
  issuerState: Refreshed<IssuerState>;
  registration: Refreshed<Registration>;
  wire: FeedWire;
  capacity: number;
}): FeedClient {
  const { runtime, issuer, issuerState, registration, wire, capacity } = options;
  const revokedKeys = keyWatch(issuerState);
  const view = feedView(capacity, revokedKeys.learned);
  const lease = feedLease(runtime);
  const reader: FeedReader = feedReader({ issuer, issuerState, isRevoked });
  function isRevoked(tag: string): boolean {
    return view.has(tag) || revokedKeys.has(tag);
  }

  /** Ended by what is to be done; the other one by nothing but the end. */
  const due = pause(runtime);
  const spread = pause(runtime);
  const ending = new AbortController();
  let isRunning = false;
  let isResting = false;
  let isOffered: boolean | undefined;
  let whenLost: WhenLost | undefined;
  let resource: string | undefined;
  let news: News | undefined;
  let current: { session: FeedSession; count: number } | undefined;
  let failures = 0;
  let nextRenewal = Number.NEGATIVE_INFINITY;
  /** When what is known here was last whole. */
  let answeredAt: number | undefined;
  let waiting: (() => void)[] = [];

  function attempted(): void {
    const all = waiting;
    waiting = [];
    for (const resolve of all) resolve();
  }

  async function live(signal: AbortSignal): Promise<void> {
    /** Set once what is known here and what is said there don't go together. */
    let isAnew = false;
    while (!signal.aborted) {
      try {
        const session = await begin(signal, isAnew);
        if (session === undefined) return;
        isAnew = false;
        await keep(session, signal);
        // all who lost their session at one moment would otherwise be back at one moment
        const third = session.leaseMs / 3;
        const most = lease.holds() ? Math.min(third, lease.leftMs() / 2) : third;
        if (!signal.aborted) await rest(anyTimeUpTo(runtime, most));
      } catch (error) {
        if (signal.aborted) return;
        isAnew ||= error instanceof BadFeed;
        await failed(error);
      }
    }
  }

  /** Nothing is under way meanwhile, and nobody has to wait for it. */
  async function rest(ms: number): Promise<void> {
    isResting = true;
    attempted();
    await spread.wait(ms);
    isResting = false;
  }

  /** A restart of the identity provider that the lease bridges is nobody's trouble. */
  async function failed(error: unknown): Promise<void> {
    failures += 1;
    if (error instanceof BadFeed || !lease.holds()) {
      runtime.report(`Revocations can't be followed: ${error instanceof Error ? error.message : String(error)}`);
    }
    await rest(backoff(runtime, failures, lease.holds() ? mostPauseMs.held : mostPauseMs.lost));
  }

  async function begin(signal: AbortSignal, isAnew: boolean): Promise<FeedSession | undefined> {
    const { feedEndpoint } = issuerState.peek() ?? (await issuerState.get());
    isOffered = feedEndpoint !== undefined;
    if (feedEndpoint === undefined) return undefined;
    const { id } = registration.peek() ?? (await registration.get());
    const nonce = runtime.random(16);
    const askedAt = lease.elapsed();
    const limit = limited(signal, openMs);
    try {
      const after = isAnew ? undefined : view.rev;
      const opening = wire.open(feedEndpoint, { nonce, after, signal: limit.signal });
      const { session, messages } = await orAborted(opening, limit.signal);
      whenLost = session.whenLost;
      current = { session, count: 0 };
      await take(messages, { nonce, askedAt, expected: id ?? resource });
      return session;
    } finally {
      limit.stop();
    }
  }

  /** Until the session is over. @throws BadFeed for what can't be believed */
  async function keep(session: FeedSession, signal: AbortSignal): Promise<void> {
    const heard = newsOf({
      runtime,
      session,
      elapsed: lease.elapsed,
      at: () => view.rev ?? 0,
      send: (after, limit) => wire.stream(session, after, limit),
      hear: async (data) => {
        const message = await reader.read(data, resource);
        return { outcome: view.follow(message, runtime.monotonic()), rev: message.rev };
      },
      wake: due.wake,
      signal,
    });
    news = heard;
    /** What the identity provider knows that we have applied. */
    let told: number | undefined;
    const acknowledging = acknowledgements({
      runtime,
      session,
      wire,
      nextCount,
      lost() {
        told = undefined;
        due.wake();
      },
    });
    const mustAsk = () => heard.mustAsk() || heard.transport() === 'poll' || nextRenewal <= lease.elapsed();
    try {
      while (!signal.aborted) {
        const asks = mustAsk();
        if (!asks && told === view.rev) {
          await due.wait(nextRenewal - lease.elapsed());
          continue;
        }
        try {
          const applied = view.rev ?? 0;
          if (!asks) {
            await tell(acknowledging, { session, applied, signal });
            told = applied;
            continue;
          }
          const third = session.leaseMs / 3;
          // who has no time left must have an answer now
          const mayWait = heard.transport() === 'poll' && told === applied && lease.leftMs() > third;
          const waitMs = mayWait ? Math.floor(third) : undefined;
          const askedAt = lease.elapsed();
          const rev = await ask(session, { applied, waitMs, signal });
          told = applied;
          if (rev > applied) heard.owed(rev);
          // who is answered at once though nothing is new doesn't ask at once again
          else if (waitMs !== undefined && lease.elapsed() - askedAt < waitMs / 2) await due.wait(waitMs / 2);
        } catch (error) {
          if (error instanceof BadFeed || signal.aborted) throw error;
          const status = error instanceof Unavailable ? error.status : undefined;
          if (status === 404) return;
          await failed(error);
          // a network that fails says nothing of the session, which a restart of the identity provider doesn't end
          if (status !== undefined) return;
        }
      }
    } finally {
      heard.stop();
      acknowledging.stop();
      news = undefined;
    }
  }

  /** Says what was applied, while the lease has time yet: there is no answer to be verified. */
  async function tell(
    acknowledging: Acknowledgements,
    { session, applied, signal }: { session: FeedSession; applied: number; signal: AbortSignal },
  ): Promise<void> {
    const limit = limited(signal, Math.min(session.leaseMs / 3, mostAnswerMs));
    try {
      await orAborted(acknowledging.say(applied, limit.signal), limit.signal);
    } finally {
      limit.stop();
    }
  }

  /** One request: says what was applied, and renews the lease. Answers which number the identity provider is at. */
  async function ask(
    session: FeedSession,
    { applied, waitMs, signal }: { applied: number; waitMs: number | undefined; signal: AbortSignal },
  ): Promise<number> {
    const nonce = runtime.random(16);
    const askedAt = lease.elapsed();
    const limit = limited(signal, Math.min(session.leaseMs / 3, mostAnswerMs) + (waitMs ?? 0));
    try {
      const count = nextCount();
      const asking = wire.ask({ session, count, applied, nonce, waitMs, signal: limit.signal });
      const messages = await orAborted(asking, limit.signal);
      return await take(messages, { nonce, askedAt, expected: resource });
    } finally {
      limit.stop();
    }
  }

  function nextCount(): number {
    if (current === undefined) return 1;
    current.count += 1;
    return current.count;
  }

  /** Learns what an answer brings, and has the lease from the moment at which it was asked for. */
  async function take(
    messages: readonly unknown[],
    { nonce, askedAt, expected }: { nonce: string; askedAt: number; expected: string | undefined },
  ): Promise<number> {
    const read: FeedMessage[] = [];
    for (const message of messages) read.push(await reader.read(message, expected ?? read[0]?.aud));
    if (ending.signal.aborted) throw new Unavailable('the guard was closed');
    // what was not told of is no matter for tokens, which have expired or are asked about; a key may be cached for longer
    const isUntold = read[0]?.floor !== undefined || lease.elapsed() - (answeredAt ?? 0) > untoldMs;
    if (isUntold && !(await revokedKeys.lookAnew())) {
      throw new Unavailable('the keys of the identity provider can not be looked up anew');
    }
    const wrong = view.answer(read, nonce, runtime.monotonic());
    if (wrong !== undefined) throw new BadFeed(`an answer of the feed is not accepted: ${wrong}`);
    const last = read.at(-1) as FeedMessage;
    resource = last.aud;
    answeredAt = lease.elapsed();
    lease.renew(askedAt, last.lease as number);
    nextRenewal = askedAt + ((last.lease as number) / 3) * (0.9 + anyTimeUpTo(runtime, 0.1));
    failures = 0;
    view.forget(runtime.now(), runtime.monotonic());
    attempted();
    return last.rev;
  }

  function limited(signal: AbortSignal, ms: number): { signal: AbortSignal; stop: () => void } {
    const limit = new AbortController();
    const abort = () => limit.abort();
    signal.addEventListener('abort', abort, { once: true });
    const stopTimer = runtime.later(ms, abort);
    const stop = () => {
      stopTimer();
      signal.removeEventListener('abort', abort);
    };
    return { signal: limit.signal, stop };
  }

  function start(): void {
    if (isRunning || ending.signal.aborted) return;
    isRunning = true;
    void live(ending.signal)
      .catch((error: unknown) => runtime.report(`Revocations can't be followed: ${String(error)}`))
      .finally(() => {
        isRunning = false;
        attempted();
      });
  }

  return {
    view,
    lease,
    get resource() {
      return resource;
    },
    get isOffered() {
      return isOffered;
    },
    get whenLost() {
      return whenLost;
    },
    get transport() {
      return news?.transport() ?? 'poll';
    },
    isRevokedKey: revokedKeys.has,
    start,
    attempt(mostMs) {
      start();
      if (!isRunning || isResting) return Promise.resolve();
      return new Promise((resolve) => {
        const stop = runtime.later(mostMs, resolve);
        waiting.push(() => {
          stop();
          resolve();
        });
      });
    },
    close() {
      if (ending.signal.aborted) return;
      lease.drop();
      ending.abort();
      due.wake();
      spread.wake();
      if (current === undefined) return;
      const { session } = current;
      const given = wire.end({ session, count: nextCount() });
      given.catch(() => {}); // then it runs out
    },
  };
}
