/**
 * Keys that were revoked while the guard knew them. A token can be too old to matter; a key that was stolen makes new ones, so that it is never believed
 * again, whatever is forgotten of the feed.
 */
import { linkTag } from '@bailiwick/protocol';
import type { IssuerState } from '../issuer.ts';
import type { Refreshed } from '../refreshed.ts';

export interface KeyWatch {
  /** Withdraws the keys that are among these tags. */
  learned(tags: readonly string[]): void;
  has(tag: string): boolean;
  /** Fetches the keys, by a question that is sent from now on. Answers whether that succeeded. */
  lookAnew(): Promise<boolean>;
}

/** Between two looks at the key set (ms), once a key of it was revoked. */
const renewFloorMs = 1000;

export function keyWatch(issuerState: Refreshed<IssuerState>): KeyWatch {
  /** As many as the identity provider had keys. */
  const revoked = new Set<string>();

  function withdraw(isRevoked: (tag: string) => boolean): boolean {
    let found = false;
    for (const key of issuerState.peek()?.keys.values() ?? []) {
      const tag = linkTag(key.kid);
      if (!isRevoked(tag)) continue;
      revoked.add(tag);
      found ||= !key.withdrawn;
      key.withdrawn = true;
    }
    return found;
  }

  return {
    learned(tags) {
      const told = new Set(tags);
      if (!withdraw((tag) => told.has(tag))) return;
      // what was asked for before may bring it back
      void issuerState.renew(renewFloorMs).then(() => withdraw((tag) => told.has(tag)));
    },
    has: (tag) => revoked.has(tag),
    async lookAnew() {
      await issuerState.renew(0); // may have been sent before
      return issuerState.renew(0);
    },
  };
}
