import { boundedCache } from '@bailiwick/protocol';
import type { Verified } from '../verify.ts';

/** Which caller a session of the server belongs to: its id alone shall open nobody's. */
export interface Sessions {
  /** Whether this is a session that this caller opened here. */
  isOf(session: string, verified: Verified): boolean;
  /** Notes who opened a session. False if it is somebody else's already. */
  open(session: string, verified: Verified): boolean;
}

/** @see MCP Security Best Practices: sessions are bound to who opened them, and are no authentication */
export function sessionsFor(capacity = 10_000): Sessions {
  const owners = boundedCache<string>(capacity);
  const ownerOf = ({ caller }: Verified) => JSON.stringify([caller.organization, caller.agent, caller.subject]);
  return {
    isOf: (session, verified) => owners.get(session) === ownerOf(verified),
    open(session, verified) {
      const owner = owners.get(session);
      if (owner === undefined) owners.set(session, ownerOf(verified));
      return owner === undefined || owner === ownerOf(verified);
    },
  };
}
