/** Guards open sessions, ask for leases in them, follow them, and give them back. */
import {
  type AccessTokenClaims,
  feedAppliedText,
  leaseEndText,
  leaseRequestText,
  linkTag,
  tagsOf,
} from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { tagsEndedSince } from '../liveness/liveness.ts';
import type { FeedTerms, Guard } from '../resources/resource.ts';
import { findGuard, findGuardOfAgent, findResource } from '../resources/store.ts';
import { evaluate, evaluateSoon } from './completion.ts';
import { feedOf } from './feed.ts';
import { leaseMsOf } from './followed.ts';
import {
  hangUp,
  isMac,
  newSession,
  newSessionId,
  readSessionId,
  report,
  type Session,
  type SessionName,
  type StreamOut,
  sessionKey,
  sessionMs,
  takeCount,
} from './session.ts';
import { type Ask, dropSession, endSession, type Feed, FeedRefusal, unknownSession, watchSession } from './state.ts';
import { caughtUp } from './turn.ts';

/** How often something is said on a stream that has no news, milliseconds. */
export const heartbeatMs = 15_000;

/** What a guard is given when it opens a session. */
export interface OpenedSession {
  session: string;
  /** base64url */
  key: string;
  leaseMs: number;
  whenLost: FeedTerms['when_lost'];
  messages: readonly string[];
}

/**
 * Opens a session for the guard that this token was issued to.
 * @param asked `after` is the number that the guard is at; undefined begins anew
 * @returns undefined if the agent is no guard, or none any more
 * @throws FeedRefusal `full`, `not_now`
 */
export async function openSession(
  deps: Deps,
  token: { claims: AccessTokenClaims; kid: string },
  asked: { nonce: string; after: number | undefined },
): Promise<OpenedSession | undefined> {
  const feed = feedOf(deps);
  const guard = await findGuardOfAgent(deps.db, token.claims.client_id);
  if (guard?.status !== 'active') return undefined;
  makeRoom(feed, guard);
  const name: SessionName = {
    guard: guard.id,
    openedAt: deps.clock.now(),
    rev: token.claims.rev,
    tags: [...new Set(tagsOf(token.claims, token.kid))],
  };
  const id = newSessionId(deps.random, await feed.secret(), name);
  const terms = (await findResource(deps.db, guard.resource))?.feed;
  const session = terms && (await enter(feed, id, name, guard));
  if (!session || !terms) return undefined;
  const head = feed.followed.get(session.resource)?.head;
  const after = asked.after === undefined || (head !== undefined && asked.after > head) ? null : asked.after;
  const messages = await leased(feed, { session, after, nonce: asked.nonce, waitMs: 0 }).catch((error: unknown) => {
    // a number that we never sent: it knew another database, and begins anew
    if (error instanceof FeedRefusal && error.why === 'unknown_session' && after !== null && !session.ended) {
      return leased(feed, { session, after: null, nonce: asked.nonce, waitMs: 0 });
    }
    if (session.since === undefined) session.ended = true;
    throw error;
  });
  return {
    session: session.id,
    key: session.key.toString('base64url'),
    leaseMs: leaseMsOf(terms),
    whenLost: terms.when_lost,
    messages,
  };
}

/** A request for a lease, as it was sent. */
export interface LeaseAsked {
  count: number;
  applied: number;
  nonce: string;
  mac: string;
  waitMs: number;
}

/**
 * Says what follows on the number that the guard has applied, with a lease.
 * @throws FeedRefusal `unknown_session`, `replayed`, `not_now`
 */
export async function askLease(deps: Deps, id: string, asked: LeaseAsked): Promise<readonly string[]> {
  const feed = feedOf(deps);
  const { count, applied, nonce, mac } = asked;
  const session = await proven(feed, id, {
    count,
    mac,
    text: leaseRequestText({ session: id, count, applied, nonce }),
  });
  const terms = feed.followed.get(session.resource)?.terms;
  const waitMs = Math.min(asked.waitMs, terms ? leaseMsOf(terms) / 3 : 0);
  return leased(feed, { session, after: applied, nonce, waitMs });
}

/** What a guard says that it has applied, as it was sent. */
export type AppliedTold = Pick<LeaseAsked, 'count' | 'applied' | 'mac'>;

/**
 * Notes what the guard has applied, and gives it nothing. A node that gives this guard no leases has nothing to note, and one that was started anew
 * hears it with the next request for a lease: to know it later is always safe.
 * @returns its session, if this node is one that gives it leases
 * @throws FeedRefusal `unknown_session`, `replayed`
 */
export async function noteApplied(deps: Deps, id: string, told: AppliedTold): Promise<Session | undefined> {
  const feed = feedOf(deps);
  const { count, applied, mac } = told;
  const session = await proven(feed, id, { count, mac, text: feedAppliedText({ session: id, count, applied }) });
  const followed = feed.followed.get(session.resource);
  if (!followed?.sessions.has(session)) return undefined;
  if (applied <= followed.head && report(session, applied, deps.clock.now())) evaluateSoon(feed);
  return session.until > deps.clock.monotonic() ? session : undefined;
}

/**
 * The guard trusts what it knows no more: nothing waits for it.
 * @throws FeedRefusal `unknown_session`, `replayed`
 */
export async function giveBack(deps: Deps, id: string, asked: { count: number; mac: string }): Promise<void> {
  const feed = feedOf(deps);
  const session = await proven(feed, id, { ...asked, text: leaseEndText({ session: id, count: asked.count }) });
  session.leases = [];
  session.until = 0;
  hangUp(session);
  session.ended = true;
  feed.givenBack.set(id, session.openedAt + sessionMs);
  evaluate(feed);
}

/**
 * Pushes what follows on `after` to a guard until the session ends, or it reads too slowly.
 * @param agent who asks: it must be its own session
 * @returns what follows now, and what ends it
 * @throws FeedRefusal `unknown_session`, `not_now`
 */
export async function followSession(
  deps: Deps,
  given: { id: string; agent: string; after: number; out: StreamOut },
): Promise<{ messages: readonly string[]; rev: number; end(): void }> {
  const feed = feedOf(deps);
  const { id, agent, after, out } = given;
  const session = await sessionOf(feed, id);
  if (session?.agent !== agent) throw unknownSession();
  return new Promise((resolve, reject) => {
    ask(feed, {
      session,
      after,
      nonce: undefined,
      waitMs: 0,
      answer(messages, rev) {
        session.stream?.out.close();
        const stream = { position: rev, out };
        session.stream = stream;
        const end = () => {
          if (session.stream === stream) session.stream = undefined;
        };
        resolve({ messages, rev, end });
      },
      fail: reject,
    });
  });
}

const leased = (feed: Feed, given: Pick<Ask, 'session' | 'after' | 'nonce' | 'waitMs'>): Promise<readonly string[]> =>
  new Promise((resolve, reject) => ask(feed, { ...given, answer: resolve, fail: reject }));

function ask(feed: Feed, given: Omit<Ask, 'messages'>): void {
  feed.asks.push({ ...given, messages: [] });
  feed.wake();
}

/** Whose request this is, by its MAC: nobody else has the session's key. */
async function proven(
  feed: Feed,
  id: string,
  { count, mac, text }: { count: number; mac: string; text: string },
): Promise<Session> {
  const known = feed.sessions.get(id);
  const secret = known ? undefined : await feed.secret();
  const key = known?.key ?? (secret && readSessionId(secret, id) && sessionKey(secret, id));
  // what isn't proven is as unknown as what isn't there
  if (!key || !isMac(key, text, mac)) throw unknownSession();
  const session = known ?? (await sessionOf(feed, id));
  if (!session || isOver(feed, session)) throw unknownSession();
  if (!takeCount(session, count)) throw new FeedRefusal('replayed', 'this request was sent before');
  return session;
}

/** The session of this name, entered anew if this node doesn't know it: another node, or this one before it was started anew, opened it. */
async function sessionOf(feed: Feed, id: string): Promise<Session | undefined> {
  const known = feed.sessions.get(id);
  if (known) return isOver(feed, known) ? undefined : known;
  const name = readSessionId(await feed.secret(), id);
  if (!name || isOver(feed, name) || feed.givenBack.has(id)) return undefined;
  const guard = await findGuard(feed.deps.db, name.guard);
  if (guard?.status !== 'active') return undefined;
  makeRoom(feed, guard);
  return enter(feed, id, name, guard, true);
}

/** How far (ms) the clocks of two nodes may differ. */
const clocksDifferMs = 60_000;

const isOver = (feed: Feed, { openedAt, ended }: Pick<Session, 'openedAt'> & { ended?: boolean }) => {
  const age = feed.deps.clock.now() - openedAt;
  return ended === true || age >= sessionMs || age < -clocksDifferMs;
};

/** Enters a session, once for all who ask for it at the same time. Nobody is given anything in it before it was looked at. */
function enter(feed: Feed, id: string, name: SessionName, guard: Guard, again = false): Promise<Session | undefined> {
  const underWay = feed.entering.get(id);
  if (underWay) return underWay;
  const entering = look(feed, { id, name, guard, again }).finally(() => feed.entering.delete(id));
  feed.entering.set(id, entering);
  return entering;
}

/** From here on revocations end the session; then it is looked whether one had come before. */
async function look(
  feed: Feed,
  given: { id: string; name: SessionName; guard: Guard; again: boolean },
): Promise<Session | undefined> {
  const { id, name, guard, again } = given;
  const { db, clock } = feed.deps;
  const key = sessionKey(await feed.secret(), id);
  if (feed.tail === undefined) await caughtUp(feed);
  const session = newSession({ ...name, id, key, agent: guard.agent, resource: guard.resource });
  watchSession(feed, session);
  const found = await Promise.all([
    findResource(db, guard.resource),
    findGuard(db, guard.id),
    tagsEndedSince(db, name.tags, name.rev),
  ]).catch((error: unknown) => {
    session.ended = true;
    dropSession(feed, session); // or it would count as one for ever
    throw error;
  });
  const [resource, stillGuard, dead] = found;
  if (resource?.status !== 'active' || stillGuard?.status !== 'active' || dead || session.ended) {
    session.ended = true;
    dropSession(feed, session);
    return undefined;
  }
  feed.sessions.set(id, session);
  feed.lastSeen.set(guard.id, clock.monotonic());
  if (again) {
    // it may hold a lease that somebody else gave it: people want to see it answer
    session.since = 0;
    session.until = clock.monotonic() + leaseMsOf(resource.feed);
  }
  return session;
}

/** @throws FeedRefusal `full`, if the guard, or all of them, have as many sessions with a lease as they may */
function makeRoom(feed: Feed, guard: Guard): void {
  const { max_sessions, max_sessions_per_guard } = feed.deps.config.feed;
  const now = feed.deps.clock.monotonic();
  let own = 0;
  for (const session of feed.byTag.get(linkTag(guard.id)) ?? []) {
    const { since, until, ended, stream } = session;
    if (until > now || stream || feed.parked.has(session) || (since === undefined && !ended)) own += 1;
  }
  if (own >= max_sessions_per_guard) {
    throw new FeedRefusal('full', `this guard has ${own} sessions already (feed.max_sessions_per_guard)`);
  }
  if (feed.sessions.size < max_sessions) return;
  forgetSessions(feed, true);
  if (feed.sessions.size >= max_sessions) {
    throw new FeedRefusal('full', 'there are too many guards for this server (feed.max_sessions)');
  }
}

/** Forgets sessions that hold no lease and are over. @param all of those without a lease: who comes back is entered anew */
export function forgetSessions(feed: Feed, all = false): void {
  const now = feed.deps.clock.monotonic();
  for (const [id, end] of feed.givenBack) if (end <= feed.deps.clock.now()) feed.givenBack.delete(id);
  for (const session of feed.sessions.values()) {
    const over = isOver(feed, session);
    if (over && !session.ended) endSession(feed, session);
    if (session.until > now) feed.lastSeen.set(session.guard, now);
    if (session.until > now || session.stream || feed.parked.has(session)) continue;
    if (all || over) dropSession(feed, session);
  }
  for (const [resource, followed] of feed.followed) {
    if (followed.sessions.size === 0 && !feed.asks.some((one) => one.session.resource === resource)) {
      feed.followed.delete(resource);
    }
  }
}
