/** A guard shows its token once, and is given a session in which a MAC is enough. */
import type { Deps } from '../deps.ts';
import { heartbeatMs, openSession } from '../feed-leases/requests.ts';
import type { Caller } from '../web/caller.ts';
import { Problem } from '../web/problem.ts';
import { mustHaveScope } from '../web/service.ts';
import { openBody } from './body.ts';

/**
 * @returns the answer's body
 * @throws Problem 403 for a token without the scope and for whom isn't a guard, 400
 */
export async function openFeed(deps: Deps, caller: Caller, body: unknown): Promise<string> {
  mustHaveScope(deps, caller, 'feed:follow');
  const opened = await openSession(deps, caller, openBody(body));
  if (!opened) throw new Problem('insufficient-scope', 'only guards follow the feed: this agent guards nothing');
  const { session, key, leaseMs, whenLost, messages } = opened;
  return JSON.stringify({
    session,
    key,
    lease_ms: leaseMs,
    when_lost: whenLost,
    heartbeat_ms: heartbeatMs,
    messages,
  });
}
