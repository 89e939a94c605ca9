import type { GuardMode } from '../options.ts';
import type { Following } from './follow.ts';

/** How a guard learns what was revoked, and how that is going. */
export interface GuardStatus {
  /** `introspect` also for `feed` where the identity provider has none. */
  mode: GuardMode;
  feed?: {
    /** `current`: everything that was revoked is known. `lost`: it isn't, and what the resource chose for that is done. */
    state: 'current' | 'lost';
    /** The number that the guard is at; undefined before it knows anything. */
    applied: number | undefined;
    /** Revocations remembered, and the number below which none are. */
    entries: number;
    floor: number;
    /** What the last lease was granted for, and what is left of it (ms). */
    lease: { grantedMs: number; leftMs: number };
    transport: 'stream' | 'poll';
    whenLost: 'introspect' | 'refuse';
  };
}

/** What a guard says of itself. Nothing in it is secret. */
export function statusOf(mode: GuardMode, following: Following | undefined): GuardStatus {
  if (following === undefined || following.client.isOffered === false) {
    return { mode: mode === 'feed' ? 'introspect' : mode };
  }
  const { view, lease, transport } = following.client;
  return {
    mode,
    feed: {
      state: lease.holds() ? 'current' : 'lost',
      applied: view.rev,
      entries: view.size,
      floor: view.floor,
      lease: { grantedMs: lease.grantedMs, leftMs: Math.round(lease.leftMs()) },
      transport,
      whenLost: following.standing.whenLost(),
    },
  };
}
