import { keyOf as keyOfAsked } from './asked.ts';
import { isPassing } from './attempts.ts';
import { singleFlight } from './single-flight.ts';
import type { HeldToken, TokenRequester, Wanted } from './token-request.ts';

export interface Tokens {
  /**
   * A token that is good for a while yet, from memory or fresh.
   * @param refused one that an API just refused: it isn't given again
   */
  get(wanted: Wanted, refused?: HeldToken): Promise<HeldToken>;
  /** Takes one that came by another road. */
  put(wanted: Wanted, token: HeldToken, askedAt: number): void;
}

interface Kept {
  token: HeldToken;
  renewAt: number;
}

const maxKept = 500;
const maxEarlyMs = 60_000;
/** An old token bridges a failing issuer only while it has this long to live: a request must still arrive with it. */
const minLeftMs = 2_000;

/** Keeps tokens until shortly before their end (the last minute, or tenth), one request in flight for each. */
export function createTokens(now: () => number, request: TokenRequester): Tokens {
  const flight = singleFlight<HeldToken>();
  const kept = new Map<string, Kept>();

  function keep(key: string, token: HeldToken, askedAt: number): HeldToken {
    const early = Math.min(maxEarlyMs, (token.expiresAt - askedAt) / 10);
    kept.delete(key);
    kept.set(key, { token, renewAt: token.expiresAt - early });
    if (kept.size > maxKept) kept.delete(kept.keys().next().value as string);
    return token;
  }

  async function renew(key: string, wanted: Wanted, refused: HeldToken | undefined): Promise<HeldToken> {
    const askedAt = now();
    try {
      return keep(key, await request(wanted), askedAt);
    } catch (error) {
      const old = kept.get(key)?.token;
      const canBridge = old !== undefined && old !== refused && old.expiresAt - now() > minLeftMs;
      if (canBridge && isPassing(error)) return old;
      throw error;
    }
  }

  return {
    async get(wanted, refused) {
      const key = keyOf(wanted);
      const known = kept.get(key);
      if (known !== undefined && known.token !== refused && now() < known.renewAt) return known.token;
      return flight(key, () => renew(key, wanted, refused));
    },
    put: (wanted, token, askedAt) => void keep(keyOf(wanted), token, askedAt),
  };
}

const keyOf = ({ resource, trace: _, ...asked }: Wanted): string =>
  JSON.stringify([resource ?? null, keyOfAsked(asked)]);
