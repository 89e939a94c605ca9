import { isPrintable } from '@bailiwick/protocol';

/** The newest DPoP nonce of each origin. @see RFC 9449 §8 and §9 */
export interface Nonces {
  get(origin: string): string | undefined;
  /** Remembers the nonce that a response brings. */
  learn(origin: string, headers: Headers): void;
}

const maxOrigins = 200;

/** A bounded memory: hosts that nobody asked for a while are forgotten first. */
export function createNonces(): Nonces {
  const known = new Map<string, string>();
  return {
    get: (origin) => known.get(origin),
    learn(origin, headers) {
      const nonce = headers.get('dpop-nonce');
      if (!isPrintable(nonce, 1024)) return;
      known.delete(origin);
      known.set(origin, nonce);
      if (known.size > maxOrigins) known.delete(known.keys().next().value as string);
    },
  };
}
