import type { Verified } from '../verify.ts';

/** Which caller a session of the server belongs to: its id alone shall open nobody's. */
export interface Sessions {
  /** Whether this is a session that this caller opened here. */
  isOf(session: string, verified: Verified): boolean;
  /** Notes who opened a session. False if it is somebody else's already. */
  open(session: string, verified: Verified): boolean;
}

/**
 * Remembers so many sessions. Who opens more than a share of them loses their own, the one first that was not used for longest; where all is full, whoever has most
 * loses one: no caller pushes out another who has fewer.
 * @see MCP Security Best Practices: sessions are bound to who opened them, and are no authentication
 */
export function sessionsFor(capacity = 10_000, perOwner = Math.ceil(capacity / 10)): Sessions {
  const owners = new Map<string, string>();
  /** Of each owner those that were used last stand last. */
  const opened = new Map<string, Set<string>>();
  const ownerOf = ({ caller }: Verified) => JSON.stringify([caller.organization, caller.agent, caller.subject]);

  function dropOneOf(owner: string): void {
    const own = opened.get(owner);
    const [oldest] = own ?? [];
    if (own === undefined || oldest === undefined) return;
    own.delete(oldest);
    owners.delete(oldest);
    if (own.size === 0) opened.delete(owner);
  }

  function whoHasMost(): string {
    let most = '';
    for (const [owner, { size }] of opened) if (size > (opened.get(most)?.size ?? 0)) most = owner;
    return most;
  }

  function used(session: string, owner: string): void {
    const own = opened.get(owner) ?? new Set();
    opened.set(owner, own);
    own.delete(session);
    own.add(session);
  }

  return {
    isOf(session, verified) {
      const owner = ownerOf(verified);
      if (owners.get(session) !== owner) return false;
      used(session, owner);
      return true;
    },
    open(session, verified) {
      const owner = ownerOf(verified);
      const before = owners.get(session);
      if (before !== undefined) return before === owner;
      if ((opened.get(owner)?.size ?? 0) >= perOwner) dropOneOf(owner);
      else if (owners.size >= capacity) dropOneOf(whoHasMost());
      owners.set(session, owner);
      used(session, owner);
      return true;
    },
  };
}
