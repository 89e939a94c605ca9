/**
 * When each authority signs, is published and goes, and what is due: a pure function of the times at which they begin.
 * Intermediates sign one after the other; a root is needed as long as anything that one of its intermediates signed
 * may be presented.
 */
import { type KeyState, schedule } from './schedule.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** No leaf of ours lives longer. */
export const longestLeafMs = dayMs;

/** How long a new root or JWT-SVID key is published before it signs: longer than any refresh hint that may be configured, and what caches add. */
export const publishMs = 26 * hourMs;

/** The same for a root that nobody asked for: long enough for those who keep our roots in a file. */
export const scheduledPublishMs = 90 * dayMs;

/** A verifier's clock may be behind ours: what we make is valid since before it was made. */
export const backdatedMs = 5 * 60_000;

export const rootLifetimeMs = 3650 * dayMs;
export const intermediateLifetimeMs = 180 * dayMs;
const rootSignsForMs = 2555 * dayMs; // seven years, so that the successor's three months fit three times over
const intermediateSignsForMs = 30 * dayMs;
const jwtKeySignsForMs = 30 * dayMs;

/** How far a verifier's clock and our own nodes' may be apart when something is thought to be over. */
const marginMs = hourMs;

export interface Begun {
  id: string;
  kind: 'root' | 'intermediate';
  root: string | undefined;
  createdAt: number;
  signsFrom: number;
  expiresAt: number;
}

export type AuthorityStanding<A extends Begun = Begun> = A & { state: KeyState; signsUntil?: number };

/**
 * Says how each authority stands at `now`. A root signs as long as an intermediate of it does.
 * @param authorities any order
 */
export function standings<A extends Begun>(authorities: readonly A[], now: number): AuthorityStanding<A>[] {
  const intermediates = authorities
    .filter(({ kind }) => kind === 'intermediate')
    .toSorted((a, b) => a.signsFrom - b.signsFrom);
  const begins = intermediates.map((each) => ({ ...each, kid: each.id }));
  const scheduled = schedule(begins, now, marginMs, longestLeafMs);
  const states = new Map(scheduled.map((each) => [each.id, each]));
  return authorities.map((each): AuthorityStanding<A> => {
    const found = states.get(each.id);
    if (found !== undefined) {
      return { ...each, state: found.state, ...(found.signsUntil !== undefined && { signsUntil: found.signsUntil }) };
    }
    const below = scheduled.filter(({ root }) => root === each.id);
    return { ...each, state: rootState(below.map(({ state }) => state)), ...rootEnd(below) };
  });
}

const order: readonly KeyState[] = ['signing', 'retiring', 'published', 'gone'];

/** As the liveliest of its intermediates: one that waits is not yet missed while another one still retires. */
function rootState(below: readonly KeyState[]): KeyState {
  return order.find((state) => below.includes(state)) ?? 'gone';
}

function rootEnd(below: readonly { signsUntil?: number }[]): { signsUntil?: number } {
  const ends = below.map(({ signsUntil }) => signsUntil);
  if (ends.length === 0 || ends.includes(undefined)) return {};
  return { signsUntil: Math.max(...(ends as number[])) };
}

/** What is to be made, and what is over. */
export interface Due {
  /** A new root with its first intermediate, and how long it is published before it signs. */
  root?: { publishMs: number };
  /** A new intermediate of this root, signing at once. */
  intermediate?: { root: string };
  jwtKey?: true;
  /** Ids of authorities whose last certificate has ended. */
  gone: string[];
  /** Ids of JWT-SVID keys whose last token has ended. */
  goneKeys: string[];
}

/**
 * What is due at `now`.
 * @param jwtKeys the keys of JWT-SVIDs, ordered by when they begin to sign
 */
export function whatIsDue(
  authorities: readonly Begun[],
  jwtKeys: readonly { kid: string; signsFrom: number }[],
  now: number,
): Due {
  const all = standings(authorities, now);
  const gone = all.filter(({ state }) => state === 'gone').map(({ id }) => id);
  const goneKeys = schedule(jwtKeys, now, marginMs).filter(({ state }) => state === 'gone');
  const due: Due = { gone, goneKeys: goneKeys.map(({ kid }) => kid) };
  const newestKey = Math.max(...jwtKeys.map(({ signsFrom }) => signsFrom));
  if (now - newestKey >= jwtKeySignsForMs) due.jwtKey = true;

  const signing = all.find(({ kind, state }) => kind === 'intermediate' && state === 'signing');
  const root = all.find(({ id }) => id === signing?.root);
  const leftOf = (each: Begun | undefined) => (each === undefined ? 0 : each.expiresAt - now - longestLeafMs);
  const waiting = all.some(({ kind, state }) => kind === 'root' && state === 'published');
  // Nothing can sign, or not until a new root was published for long enough. That is so at the first start, or after a sleep of years: whatever was
  // signed before has ended, and whatever was known of us is older than any hint allows.
  const isTooLate = leftOf(root) < (waiting ? 1 : publishMs);
  if (signing === undefined || root === undefined || isTooLate) return { ...due, root: { publishMs: 0 } };
  if (now - root.createdAt >= rootSignsForMs && !waiting) due.root = { publishMs: longestOf(leftOf(root)) };
  if (now - signing.signsFrom >= intermediateSignsForMs || leftOf(signing) <= 0) due.intermediate = { root: root.id };
  return due;
}

/** How long a new root is published, if the old one can sign for so long: after years of sleep that may be the shorter time. */
const longestOf = (leftMs: number): number => (leftMs >= scheduledPublishMs ? scheduledPublishMs : publishMs);
