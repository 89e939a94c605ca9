import type { KeyObject } from 'node:crypto';
import { importPublicJwk, type JwsAlgorithm } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Instance } from '../agents/instance.ts';
import { findAgent } from '../agents/store.ts';
import type { Credential, OtherCredential, PublicKeyCredential } from '../credentials/credential.ts';
import { liveCredentials } from '../credentials/store.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { rememberedPer } from '../lib/remember.ts';
import type { Counter } from '../liveness/liveness.ts';

/** An agent with the keys that it may prove itself with, parsed. */
export interface Registration {
  agent: Agent;
  keys: readonly RegisteredKey[];
  /** Whatever else it may prove itself with. */
  others: readonly OtherCredential[];
}

export interface RegisteredKey {
  id: string;
  /** RFC 7638: what the log calls the key. */
  thumbprint: string;
  /** What assertions call it: the thumbprint, unless its owner chose another name. */
  kid: string;
  alg: JwsAlgorithm;
  key: KeyObject;
  /** Milliseconds. */
  expiresAt: number | undefined;
}

const isPublicKey = (credential: Credential): credential is PublicKeyCredential => credential.kind === 'public_key';

const registrations = rememberedPer<Registration>(100_000);
/** Ids that name nobody: remembered too, and apart, so that asking again costs what asking for an acquaintance costs. */
const strangers = rememberedPer<true>(10_000);

/**
 * When an instance's time is up at the latest, whatever it renews: with the credential that enrolled it, which may have been
 * given another end since, and with the certificate or SVID that was shown then. An enrolment token has done its part.
 */
export function endOfEnrolling(
  { keys, others }: Registration,
  { credential, restsUntil }: Instance,
): number | undefined {
  const end = [...keys, ...others].find(({ id }) => id === credential)?.expiresAt;
  if (end === undefined || restsUntil === undefined) return end ?? restsUntil;
  return Math.min(end, restsUntil);
}

/** The registration of a client, remembered for one version of the registry; undefined when there is none. */
export async function registrationOf(deps: Deps, asOf: Counter, clientId: string): Promise<Registration | undefined> {
  // a database is asked about nothing else: PostgreSQL takes no NUL in a text
  if (!isId('agent', clientId)) return undefined;
  if (strangers(deps.db).peek(asOf.version, clientId)) return undefined;
  return registrations(deps.db).get(asOf.version, clientId, async () => {
    const agent = await findAgent(deps.db, clientId);
    if (!agent) {
      await strangers(deps.db).get(asOf.version, clientId, async () => true);
      return undefined;
    }
    const credentials = await liveCredentials(deps.db, clientId, deps.clock.now());
    const keys = credentials.filter(isPublicKey).map(({ id, thumbprint, kid, alg, jwk, expiresAt }) => ({
      id,
      thumbprint,
      kid,
      alg,
      key: importPublicJwk(jwk, alg).key,
      expiresAt,
    }));
    const others = credentials.filter((credential): credential is OtherCredential => !isPublicKey(credential));
    return { agent, keys, others };
  });
}
