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
  event: 'evt',
  problem: 'err',
} as const;

export type IdKind = keyof typeof idPrefixes;

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'; // Crockford's base32: no i, l, o, u

/**
 * An id such as `agt_01jd7x…`: 48 bits of milliseconds, then 80 random bits, so that ordering by id is
 * ordering by creation and nobody guesses the next one.
 */
export function newId(deps: { clock: Clock; random: Random }, kind: IdKind): string {
  let time = deps.clock.now();
  let head = '';
  for (let i = 0; i < 10; i++) {
    head = alphabet[time % 32] + head;
    time = Math.floor(time / 32);
  }
  const bytes = deps.random.bytes(10);
  let tail = '';
  for (let i = 0; i < 10; i += 5) {
    // five bytes are eight characters: two halves of twenty bits keep the arithmetic in small integers
    const high = ((bytes[i] as number) << 12) | ((bytes[i + 1] as number) << 4) | ((bytes[i + 2] as number) >> 4);
    const low = (((bytes[i + 2] as number) & 15) << 16) | ((bytes[i + 3] as number) << 8) | (bytes[i + 4] as number);
    for (const half of [high, low]) {
      for (let shift = 15; shift >= 0; shift -= 5) tail += alphabet[(half >> shift) & 31];
    }
  }
  return `${idPrefixes[kind]}_${head}${tail}`;
}

/** A token's `jti`: the event that tells of its issue has the same id, so that one leads to the other. */
export const jtiOf = (eventId: string): string => eventId.slice(idPrefixes.event.length + 1);

/** The id of the event that tells of the issue of the token with this `jti`. */
export const issueEventId = (jti: string): string => `${idPrefixes.event}_${jti}`;

/** Whether `text` has the shape of an id of this kind (it may still name nothing). */
export function isId(kind: IdKind, text: string): boolean {
  return text.startsWith(`${idPrefixes[kind]}_`) && /^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$/.test(text);
}
