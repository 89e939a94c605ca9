import type { KeyObject } from 'node:crypto';
import { importPublicJwk, type JwsAlgorithm } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import { findAgent } from '../agents/store.ts';
import { liveCredentials } from '../credentials/store.ts';
import type { Deps } from '../deps.ts';
import { rememberedPer } from '../lib/remember.ts';
import type { Counter } from '../liveness/liveness.ts';

/** An agent with the keys that it may prove itself with, parsed. */
export interface Registration {
  agent: Agent;
  keys: readonly RegisteredKey[];
}

export interface RegisteredKey {
  id: string;
  /** RFC 7638 thumbprint. */
  kid: string;
  /** What the agent itself calls its key, if it does. */
  alias: string | undefined;
  alg: JwsAlgorithm;
  key: KeyObject;
  /** Milliseconds. */
  expiresAt: number | undefined;
}

const registrations = rememberedPer<Registration>(100_000);

/** The registration of a client, remembered for one version of the registry; undefined when there is none. */
export async function registrationOf(deps: Deps, asOf: Counter, clientId: string): Promise<Registration | undefined> {
  return registrations(deps.db).get(asOf.version, clientId, async () => {
    const agent = await findAgent(deps.db, clientId);
    if (!agent) return undefined;
    const credentials = await liveCredentials(deps.db, clientId, deps.clock.now());
    const keys = credentials.map(({ id, kid, alg, jwk, expiresAt }) => ({
      id,
      kid,
      alias: jwk.kid,
      alg,
      key: importPublicJwk(jwk, alg).key,
      expiresAt,
    }));
    return { agent, keys };
  });
}
