import type { Clock } from './clock.ts';
import type { Random } from './random.ts';

/** What each kind of id begins with (design: words). */
export const idPrefixes = {
  organization: 'org',
  person: 'per',
  team: 'tea',
  agent: 'agt',
  instance: 'ins',
  credential: 'crd',
  resource: 'res',
  role: 'rol',
  grant: 'grt',
  guard: 'grd',
  policy: 'pol',
  signal_stream: 'sst',
  signal_source: 'ssr',
  exporter: 'xpt',
  drill: 'drl',
  task: 'tsk',
  mandate: 'mdt',
  mandate_request: 'mrq',
  trust_domain: 'trd',
  trusted_issuer: 'iss',
  event: 'evt',
  problem: 'err',
} as const;

export type IdKind = keyof typeof idPrefixes;

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'; // Crockford's base32: no i, l, o, u

interface Last {
  time: number;
  high: number;
  low: number;
}

const half = 2 ** 40;
const lastIds = new WeakMap<Random, Last>();

/**
 * An id such as `agt_01jd7x…`: 48 bits of milliseconds, then 80 random bits. Ordering by id is ordering by creation;
 * within one millisecond each id of a process is a random step behind the one before, so that its events keep their order.
 */
export function newId(deps: { clock: Pick<Clock, 'now'>; random: Random }, kind: IdKind): string {
  const last = lastIds.get(deps.random);
  const next = last && deps.clock.now() <= last.time ? stepped(deps.random, last) : started(deps);
  lastIds.set(deps.random, next);
  return `${idPrefixes[kind]}_${base32(next.time, 10)}${base32(next.high, 8)}${base32(next.low, 8)}`;
}

/** The smallest id of this kind that can have been made at `time` (ms) or later: for a range of ids. */
export const idAt = (kind: IdKind, time: number): string => `${idPrefixes[kind]}_${base32(time, 10)}`;

function started({ clock, random }: { clock: Pick<Clock, 'now'>; random: Random }): Last {
  const bytes = random.bytes(10);
  return { time: clock.now(), high: bytes.readUIntBE(0, 5), low: bytes.readUIntBE(5, 5) };
}

/** A clock that stands still, or goes back, doesn't make ids do the same. */
function stepped(random: Random, last: Last): Last {
  const low = last.low + 1 + random.bytes(3).readUIntBE(0, 3);
  if (low < half) return { ...last, low };
  const high = last.high + 1;
  return high < half ? { ...last, high, low: low - half } : { time: last.time + 1, high: 0, low: low - half };
}

function base32(value: number, length: number): string {
  let text = '';
  let rest = value;
  for (let i = 0; i < length; i++) {
    text = alphabet[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

/** A token's `jti`: the event that tells of its issue has the same id, so that one leads to the other. */
export const jtiOf = (eventId: string): string => eventId.slice(idPrefixes.event.length + 1);

/** The id of the event that tells of the issue of the token with this `jti`. */
export const issueEventId = (jti: string): string => `${idPrefixes.event}_${jti}`;

/** Whether `text` has the shape of an id of this kind (it may still name nothing). */
export function isId(kind: IdKind, text: string): boolean {
  return text.startsWith(`${idPrefixes[kind]}_`) && /^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$/.test(text);
}
