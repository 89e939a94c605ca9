/** What this node keeps of the feed: which resources are followed here, by which sessions, and which revocations are still on their way. */
import { linkTag } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { sharedSecret } from '../store/secrets.ts';
import type { Followed } from './followed.ts';
import { hangUp, type Session } from './session.ts';

/** What a guard is told instead of being given a lease. */
export class FeedRefusal extends Error {
  readonly why: 'unknown_session' | 'replayed' | 'full' | 'not_now';
  constructor(why: FeedRefusal['why'], message: string) {
    super(message);
    this.name = 'FeedRefusal';
    this.why = why;
  }
}

/** A request that the next turn answers. */
export interface Ask {
  session: Session;
  /** The number that the guard is at. Null: begin anew. */
  after: number | null;
  /** Messages that were read for it on the way; it is at `after` with them. */
  messages: readonly string[];
  /** How long it waits for news (ms) before it is answered. */
  waitMs: number;
  /** A request for a lease; without it what follows is to be pushed. */
  nonce: string | undefined;
  answer(messages: readonly string[], at: number): void;
  fail(error: unknown): void;
}

/** As of when revocations were seen, and until when (monotonic) which other nodes have to be waited for. */
export interface Sighting {
  turn: number;
  at: number;
  nodes: ReadonlyMap<string, number>;
}

/** A revocation that a resource's guards haven't all applied. */
export interface Pending {
  rev: number;
  subject: string | null;
  org: string;
  seen: Sighting;
  /** Guards that may believe an answer about a token that doesn't know of it, and until when (monotonic). */
  held: { guards: readonly string[]; until: number };
}

/** Answers about tokens that guards of one resource believe: those that are being looked for, and until when (monotonic) each guard does. */
export interface Held {
  asking: Set<{ guard: string; end: number }>;
  until: Map<string, number>;
}

/** A guard has applied a number (wall clock, ms), its lease ran out (0), or it asks about tokens, and believes no earlier answer any more (-1). */
export type GuardAnswer = readonly [guard: string, at: number];

/** What another node has said: every lease-holder of its is at `upTo`, but for some resources. */
export interface Confirmed {
  upTo: number;
  behind: Readonly<Record<string, number>>;
  answers: Map<string, { to: number; guards: Map<string, number> }>;
}

/** What is to be written down: that all entries of a resource between two numbers are acknowledged. */
export interface Completed {
  resource: string;
  org: string;
  revocations: Pending[];
  at: number;
  guards: GuardAnswer[];
  /** Monotonic: before that another node may do it. */
  due: number;
}

export interface Feed {
  readonly deps: Deps;
  /** This very process. */
  readonly node: string;
  readonly startedAt: number;
  readonly secret: () => Promise<Buffer>;
  /** There is something to do for the next turn. */
  wake(): void;
  /** The last revocation that was read; undefined before the first turn. */
  tail: number | undefined;
  version: number;
  /** As of which version the terms of all that is followed were read. */
  termsOf: number;
  turn: number;
  /** The longest lease (ms) that this node has said it gives, and since when it is known to have said so (monotonic). */
  leaseMs: number;
  beatAt: number;
  beating: boolean;
  followed: Map<string, Followed>;
  sessions: Map<string, Session>;
  /** Sessions that were given back, by their names, and when they would be over (wall clock, ms): what was captured of them is worth nothing. */
  givenBack: Map<string, number>;
  /** Sessions that are being looked at. */
  entering: Map<string, Promise<Session | undefined>>;
  byTag: Map<string, Set<Session>>;
  asks: Ask[];
  /** Requests that wait for news, with what takes back their end. */
  parked: Map<Session, { ask: Ask; cancel: () => void }>;
  histories: Map<string, { read: Promise<{ messages: readonly string[]; rev: number }>; until: number }>;
  /** Who waits for the end of a turn that begins later. */
  waiters: { resolve: () => void; reject: (error: unknown) => void }[];
  heard: boolean;
  running: boolean;
  /** It will be looked at what is acknowledged. */
  evaluating: boolean;
  stopped: boolean;
  /** The last revocation that reached a resource. */
  newest: number;
  /** By resource, ascending. */
  pending: Map<string, Pending[]>;
  /** Which resources have to answer yet, by revocation. */
  remaining: Map<number, Set<string>>;
  /** By resource: guards that ask about tokens. */
  held: Map<string, Held>;
  /** When (monotonic) a guard was last seen here to follow or to ask. */
  lastSeen: Map<string, number>;
  /** Who waits for an acknowledgement, by revocation. */
  waiting: Map<number, Set<() => void>>;
  completed: Completed[];
  writing: boolean;
  /** Other nodes: their beat, and since when (monotonic) it stands there. */
  others: Map<string, { beat: number; since: number; leaseMs: number }>;
  confirmed: Map<string, Confirmed>;
  /** What was said to other nodes last, and up to which number of which resource. */
  said: { text: string; upTo: Map<string, number>; sending: boolean };
  cancelTimer: (() => void) | undefined;
  unlisten: (() => void)[];
  reachTidiedAt: number;
}

/** @param wake called when there is something to do */
export function newFeed(deps: Deps, wake: (feed: Feed) => void): Feed {
  let secret: Promise<Buffer> | undefined;
  const feed: Feed = {
    deps,
    wake: () => wake(feed),
    node: deps.random.bytes(9).toString('base64url'),
    startedAt: deps.clock.monotonic(),
    secret() {
      secret ??= sharedSecret(deps, 'feed-session').catch((error: unknown) => {
        secret = undefined;
        throw error;
      });
      return secret;
    },
    tail: undefined,
    version: 0,
    termsOf: 0,
    turn: 0,
    leaseMs: 0,
    beatAt: Number.NEGATIVE_INFINITY,
    beating: false,
    followed: new Map(),
    sessions: new Map(),
    givenBack: new Map(),
    entering: new Map(),
    byTag: new Map(),
    asks: [],
    parked: new Map(),
    histories: new Map(),
    waiters: [],
    heard: false,
    running: false,
    evaluating: false,
    stopped: false,
    newest: 0,
    pending: new Map(),
    remaining: new Map(),
    held: new Map(),
    lastSeen: new Map(),
    waiting: new Map(),
    completed: [],
    writing: false,
    others: new Map(),
    confirmed: new Map(),
    said: { text: '', upTo: new Map(), sending: false },
    cancelTimer: undefined,
    unlisten: [],
    reachTidiedAt: Number.NEGATIVE_INFINITY,
  };
  return feed;
}

/** What ends a session: all that its token rested on, its guard and the resource. */
const tagsOfSession = ({ tags, guard, resource }: Session) => [...tags, linkTag(guard), linkTag(resource)];

/** From now on revocations end this session. */
export function watchSession(feed: Feed, session: Session): void {
  for (const tag of tagsOfSession(session)) {
    const known = feed.byTag.get(tag);
    if (known) known.add(session);
    else feed.byTag.set(tag, new Set([session]));
  }
}

/** Forgets a session that holds no lease. */
export function dropSession(feed: Feed, session: Session): void {
  feed.sessions.delete(session.id);
  for (const tag of tagsOfSession(session)) {
    const known = feed.byTag.get(tag);
    known?.delete(session);
    if (known?.size === 0) feed.byTag.delete(tag);
  }
  feed.followed.get(session.resource)?.sessions.delete(session);
}

/** Gives a session nothing any more. What it was given runs out by itself. */
export function endSession(feed: Feed, session: Session): void {
  session.ended = true;
  hangUp(session);
  const parked = feed.parked.get(session);
  if (!parked) return;
  feed.parked.delete(session);
  parked.cancel();
  parked.ask.fail(unknownSession());
}

export const unknownSession = (): FeedRefusal =>
  new FeedRefusal('unknown_session', 'there is no such session: open a new one');
