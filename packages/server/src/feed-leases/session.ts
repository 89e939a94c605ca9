/**
 * A feed session: what a guard shows when it asks for a lease, instead of a token. Its name says all that a node has to know of it, and its
 * key is made from its name, so that any node, and one that was started anew, knows it.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Random } from '../lib/random.ts';

/** How long a session lasts, milliseconds: then a guard proves anew who it is. */
export const sessionMs = 3_600_000;
/** How far requests may overtake each other. */
const outOfOrder = 31;
const leasesKept = 64;
const reportsKept = 64;
const tagLength = 8;

/** What the name of a session says. */
export interface SessionName {
  /** The id of the guard (`grd_…`). */
  guard: string;
  /** By the wall clock, milliseconds. */
  openedAt: number;
  /** As of which revocation its token was issued. */
  rev: number;
  /** Of everything whose revocation ends the token by which it was opened. */
  tags: readonly string[];
}

/** Where what is pushed to a guard goes. */
export interface StreamOut {
  /** Answers false once the reader is too far behind: it is closed then. */
  write(text: string): boolean;
  close(): void;
}

/** A session as this node knows it. Times by the monotonic clock, but for `openedAt`. */
export interface Session extends SessionName {
  id: string;
  key: Buffer;
  agent: string;
  resource: string;
  /** Nothing is given to it any more; what it was given runs out. */
  ended: boolean;
  /** The number that the guard has reported. */
  applied: number;
  /** When it has reported which number, by the wall clock; the oldest are forgotten. */
  reports: { applied: number; at: number }[];
  /** Leases that may still run: as of which number each was given, and until when it lasts. By ascending number. */
  leases: { rev: number; end: number }[];
  /** In which turn of the feed it was given a lease for the first time. */
  since: number | undefined;
  /** When the last of its leases ends, or has ended. */
  until: number;
  highestCount: number;
  /** Which of the counts below the highest were seen, as bits. */
  seen: number;
  stream: { position: number; out: StreamOut } | undefined;
  /** Over which it says line by line what it has applied. */
  lines: { close(): void } | undefined;
}

/** A session that has asked for nothing yet. */
export const newSession = (named: SessionName & Pick<Session, 'id' | 'key' | 'agent' | 'resource'>): Session => ({
  ...named,
  ended: false,
  applied: 0,
  reports: [],
  leases: [],
  since: undefined,
  until: 0,
  highestCount: 0,
  seen: 0,
  stream: undefined,
  lines: undefined,
});

/** Nothing more is pushed to it. */
export function closeStream(session: Session): void {
  session.stream?.out.close();
  session.stream = undefined;
}

/** Nothing more is said in either direction. */
export function hangUp(session: Session): void {
  closeStream(session);
  session.lines?.close();
  session.lines = undefined;
}

/** A new name. Nobody can make one up: its end is a MAC of the rest. @param secret of the deployment */
export function newSessionId(random: Random, secret: Buffer, name: SessionName): string {
  const { guard, openedAt, rev, tags } = name;
  const unique = random.bytes(12).toString('base64url');
  const text = [guard, openedAt.toString(36), rev.toString(36), tags.join(''), unique].join('.');
  return text + nameMac(secret, text);
}

/** 96 bits: they can be tried here alone, one request each. */
const nameMac = (secret: Buffer, text: string): string =>
  createHmac('sha256', secret).update(`bailiwick-feed-name\n${text}`).digest().subarray(0, 12).toString('base64url');
const nameMacLength = 16;

/** What a name says, if it is one that we gave. It is to be acted on only once a MAC under its key was verified, or with a token of the same agent. */
export function readSessionId(secret: Buffer, id: string): SessionName | undefined {
  const parts = /^(grd_[0-9a-z]{26})\.([0-9a-z]{1,9})\.([0-9a-z]{1,10})\.([\w-]*)\.[\w-]{32}$/.exec(id);
  if (!parts || (parts[4] as string).length % tagLength !== 0) return undefined;
  const text = id.slice(0, -nameMacLength);
  if (!timingSafeEqual(Buffer.from(nameMac(secret, text)), Buffer.from(id.slice(-nameMacLength)))) return undefined;
  const [, guard, openedAt, rev, tags] = parts as unknown as [string, string, string, string, string];
  return {
    guard,
    openedAt: Number.parseInt(openedAt, 36),
    rev: Number.parseInt(rev, 36),
    tags: tags.match(/.{8}/g) ?? [],
  };
}

/** The key of a session, the same on every node. @param secret of the deployment */
export const sessionKey = (secret: Buffer, id: string): Buffer =>
  createHmac('sha256', secret).update(`bailiwick-feed-session\n${id}`).digest();

/** Whether `mac` (base64url) is the HMAC-SHA256 of `text` under the session's key. */
export function isMac(key: Buffer, text: string, mac: string): boolean {
  const given = Buffer.from(mac, 'base64url');
  const right = createHmac('sha256', key).update(text).digest();
  return given.length === right.length && timingSafeEqual(given, right);
}

/** Takes a request's count; false if it was taken before, or lies too far back to know. */
export function takeCount(session: Session, count: number): boolean {
  const ahead = count - session.highestCount;
  if (ahead > 0) {
    session.seen = ahead > outOfOrder ? 0 : (session.seen << ahead) | (1 << (ahead - 1));
    session.highestCount = count;
    return true;
  }
  if (ahead === 0 || -ahead > outOfOrder) return false;
  const bit = 1 << (-ahead - 1);
  if ((session.seen & bit) !== 0) return false;
  session.seen |= bit;
  return true;
}

/** The guard says that it has applied everything up to this number. @param at by the wall clock */
export function report(session: Session, applied: number, at: number): boolean {
  if (applied <= session.applied) return false;
  session.applied = applied;
  session.reports.push({ applied, at });
  if (session.reports.length > reportsKept) session.reports.shift();
  return true;
}

/** When the guard had applied this number, as far as is known: never too early. */
export const appliedAt = (session: Session, rev: number): number | undefined =>
  session.reports.find(({ applied }) => applied >= rev)?.at;

/** Notes a lease, given now as of number `rev`, that ends at `end`. */
export function noteLease(session: Session, rev: number, now: number, end: number): void {
  session.until = Math.max(session.until, end);
  const leases = session.leases.filter((lease) => lease.end > now);
  const last = leases.at(-1);
  if (last?.rev === rev) last.end = Math.max(last.end, end);
  else leases.push({ rev, end });
  // what the guard has applied already makes these one; and too many are taken for longer than they are
  while (leases.length > 1 && ((leases[1]?.rev ?? 0) <= session.applied || leases.length > leasesKept)) {
    const first = leases.shift() as { rev: number; end: number };
    const next = leases[0] as { rev: number; end: number };
    next.end = Math.max(first.end, next.end);
    if (next.rev > session.applied) next.rev = first.rev;
  }
  session.leases = leases;
}

/**
 * Up to which number nothing that was revoked is accepted by this guard any more: what it has applied, or that as of which the oldest lease
 * that still runs was given, since a lease counts only for who has applied everything up to there. Infinite where no lease runs.
 */
export function safeUpTo(session: Session, now: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { rev, end } of session.leases) if (end > now && rev < least) least = rev;
  return least === Number.POSITIVE_INFINITY ? least : Math.max(session.applied, least);
}

/** When the last lease ends that lets this guard accept what was revoked under `rev`. */
export function heldUntil(session: Session, rev: number): number {
  let end = 0;
  for (const lease of session.leases) if (lease.rev < rev && lease.end > end) end = lease.end;
  return end;
}
