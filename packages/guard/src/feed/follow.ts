import type { Signer } from '@bailiwick/protocol';
import type { Introspector } from '../introspection.ts';
import type { IssuerState } from '../issuer.ts';
import { Unavailable } from '../json-client.ts';
import type { ResolvedOptions } from '../options.ts';
import type { Refreshed } from '../refreshed.ts';
import type { Registration } from '../registration.ts';
import type { Runtime } from '../runtime.ts';
import { type FeedClient, feedClient } from './client.ts';
import { type FeedStanding, feedStanding } from './standing.ts';
import { feedWire } from './wire.ts';

/** A guard's part in the feed: who follows it, and what that says of tokens. */
export interface Following {
  client: FeedClient;
  standing: FeedStanding;
  /**
   * Resolves with the first lease, or when it can go on without.
   * @throws Unavailable when it can't be known what was revoked, and the resource chose to refuse then
   */
  ready(): Promise<void>;
}

/** A start waits so long for the first lease (ms). */
const readyMs = 5_000;

/** Puts together what follows the feed. Nothing is sent before it is started, or asked for a token. */
export function followFeed(options: {
  runtime: Runtime;
  settings: ResolvedOptions;
  credential: { clientId: string; signer: Signer };
  issuerState: Refreshed<IssuerState>;
  registration: Refreshed<Registration>;
  introspect: Introspector;
}): Following {
  const { runtime, settings, credential, issuerState, registration, introspect } = options;
  const { issuer, feed, introspection } = settings;
  const wire = feedWire({ runtime, issuer, credential });
  const client = feedClient({ runtime, issuer, issuerState, registration, wire, capacity: feed.capacity });
  const standing = feedStanding({
    runtime,
    client,
    issuerState,
    registration,
    introspect,
    cacheMs: introspection.cacheMs,
    whenLost: feed.whenLost,
  });
  return {
    client,
    standing,
    async ready() {
      if (!client.lease.holds() && client.isOffered !== false) await client.attempt(readyMs);
      if (client.lease.holds() || client.isOffered === false || standing.whenLost() === 'introspect') return;
      throw new Unavailable('what was revoked can not be known: the feed of the identity provider can not be followed');
    },
  };
}
