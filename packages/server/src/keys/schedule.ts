/**
 * When each key is published, signs and goes: a pure function of the times at which keys begin. A new key is
 * published before it signs, an old one stays until its last token has died, so rotation never breaks a verifier.
 */

/** Every token of ours is dead after this many milliseconds, whatever it was asked for. */
export const longestTokenMs = 15 * 60 * 1000;

export type KeyState = 'published' | 'signing' | 'retiring' | 'gone';

export interface Begins {
  kid: string;
  /** Milliseconds. */
  signsFrom: number;
}

export interface Scheduled extends Begins {
  state: KeyState;
  /** When it stops signing, once a successor is known. */
  signsUntil?: number;
  /** When it leaves the key set, once a successor is known. */
  publishedUntil?: number;
}

/**
 * Says how each key of one algorithm stands at `now`.
 * @param keys ordered by `signsFrom`
 * @param skewMs how far a verifier's clock may be behind ours, so that it still believes a token that has died
 * @param longestMs how long what it signs may live
 */
export function schedule<Key extends Begins>(
  keys: readonly Key[],
  now: number,
  skewMs: number,
  longestMs: number = longestTokenMs,
): (Key & Scheduled)[] {
  return keys.map((key, i) => {
    const signsUntil = keys[i + 1]?.signsFrom;
    if (signsUntil === undefined) return { ...key, state: now < key.signsFrom && i > 0 ? 'published' : 'signing' };
    const publishedUntil = signsUntil + longestMs + skewMs;
    const begun = now >= key.signsFrom || i === 0;
    const state: KeyState =
      now >= publishedUntil ? 'gone' : now >= signsUntil ? 'retiring' : begun ? 'signing' : 'published';
    return { ...key, state, signsUntil, publishedUntil };
  });
}
