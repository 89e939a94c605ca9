/** Whom an SVID stands for: an instance of ours, or the agent that has registered a foreign SPIFFE ID. */
import { parseSpiffeId, thumbprint as thumbprintOf } from '@bailiwick/protocol';
import { instanceAlive } from '../agents/instance-standing.ts';
import { findInstanceBySpiffeId } from '../agents/instance-store.ts';
import { findByThumbprints, thumbprintsAtMost } from '../credentials/store.ts';
import { spiffeThumbprint } from '../credentials/subject.ts';
import type { Deps } from '../deps.ts';
import { unverifiedUris } from '../lib/x509-verify.ts';
import type { Counter } from '../liveness/liveness.ts';
import { verifiedByBundles } from '../svid/bundles.ts';
import { spiffeIdOf, type VerifiedLeaf, verifyX509Svid } from '../svid/verify-x509.ts';
import type { Proven, Shown } from './by-certificate.ts';
import { endOfEnrolling, type Registration, registrationOf } from './registration.ts';

/** Deeper than anybody nests their workloads: the exact name is looked up as well. */
const deepestPattern = thumbprintsAtMost - 1;

/**
 * Validates the chain as an X.509-SVID, with the bundle of the trust domain that its leaf names and of no other.
 * @throws ProtocolError why it doesn't hold
 */
export async function verifiedSvid(deps: Deps, { asOf, clientId, certificate, work }: Shown): Promise<VerifiedLeaf> {
  const { chain } = certificate;
  const spiffeId = spiffeIdOf({ uris: unverifiedUris(chain[0] as Buffer) });
  const org = await judgeOf(deps, asOf, { spiffeId, clientId });
  return verifiedByBundles(deps, asOf.version, org, (bundles) =>
    verifyX509Svid(chain, { bundles, now: deps.clock.now(), purpose: 'client', work }),
  );
}

/** A SPIFFE ID, and what is said beside it of who it is: as whom it was claimed, nothing of it was verified yet. */
interface Claimed {
  spiffeId: string;
  /** The id of an agent, or the SPIFFE ID once more. */
  clientId: string | undefined;
}

/**
 * By whose partners an identity of a foreign trust domain is judged: the organization of the agent that it stands for. Undefined for
 * our own, which nobody needs to know of, and where it stands for nobody.
 */
export async function judgeOf(deps: Deps, asOf: Counter, claimed: Claimed): Promise<string | undefined> {
  if (parseSpiffeId(claimed.spiffeId).trustDomain === deps.config.trust_domain) return undefined;
  return (await registeredFor(deps, asOf, claimed))?.agent.org;
}

/** Who has the SPIFFE ID of a verified leaf, by the leaf's own key; undefined if nobody living does. */
export function holderOf(deps: Deps, { asOf, clientId }: Shown, leaf: VerifiedLeaf): Promise<Proven | undefined> {
  return holderOfId(deps, asOf, { spiffeId: spiffeIdOf(leaf), clientId }, thumbprintOf(leaf.publicJwk));
}

/**
 * Who has a proven SPIFFE ID; undefined if nobody living does.
 * @param key the key that was proven with it (RFC 7638), where one was: it must still be the holder's
 */
export async function holderOfId(
  deps: Deps,
  asOf: Counter,
  claimed: Claimed,
  key: string | undefined,
): Promise<Proven | undefined> {
  const { spiffeId } = claimed;
  const { trustDomain, path } = parseSpiffeId(spiffeId);
  if (trustDomain !== deps.config.trust_domain) return registeredFor(deps, asOf, claimed);
  return path.length === 3 ? ownInstance(deps, asOf, spiffeId, key) : undefined;
}

async function ownInstance(deps: Deps, asOf: Counter, spiffeId: string, key: string | undefined) {
  const instance = await findInstanceBySpiffeId(deps.db, spiffeId);
  if (!instance || (key !== undefined && key !== instance.thumbprint)) return undefined;
  if (!(await instanceAlive(deps.db, instance, deps.clock.now()))) return undefined;
  const registration = await registrationOf(deps, asOf, instance.agent);
  return (
    registration && {
      agent: registration.agent,
      credential: instance.credential,
      thumbprint: instance.thumbprint,
      credentialEndsAt: Math.min(instance.expiresAt, endOfEnrolling(registration, instance) ?? instance.expiresAt),
      instance,
    }
  );
}

/**
 * The agent that has registered this SPIFFE ID: exactly, or else by the longest pattern that it is below. Whoever says which agent
 * they are is looked for there alone. Of several organizations that have registered it the first counts: nobody takes it over by
 * a longer pattern that came later.
 */
async function registeredFor(deps: Deps, asOf: Counter, { spiffeId, clientId }: Claimed): Promise<Proven | undefined> {
  const now = deps.clock.now();
  const thumbprints = [spiffeId, ...patternsOf(spiffeId)].map(spiffeThumbprint);
  const byAgent = clientId !== undefined && !clientId.startsWith('spiffe:');
  const registrations = byAgent ? [await registrationOf(deps, asOf, clientId)] : await holders(deps, asOf, thumbprints);
  const found = thumbprints.flatMap((thumbprint) =>
    registrations.flatMap((registration) => {
      const credential = registration?.others.find(
        (each) => each.kind === 'spiffe_id' && each.thumbprint === thumbprint && (each.expiresAt ?? now + 1) > now,
      );
      return registration && credential ? [{ agent: registration.agent, credential, thumbprint }] : [];
    }),
  );
  const [oldest] = found.toSorted((one, other) => (one.credential.id < other.credential.id ? -1 : 1)); // ids are in order of time
  const chosen = found.find(({ agent }) => agent.org === oldest?.agent.org);
  if (!chosen) return undefined;
  const { agent, credential, thumbprint } = chosen;
  return { agent, credential: credential.id, thumbprint, credentialEndsAt: credential.expiresAt };
}

/** Found by one statement, or how long it takes would tell how deep the first of them lies. */
async function holders(
  deps: Deps,
  asOf: Counter,
  thumbprints: readonly string[],
): Promise<(Registration | undefined)[]> {
  const agents = new Set((await findByThumbprints(deps.db, thumbprints)).map(({ agent }) => agent));
  return Promise.all([...agents].map((agent) => registrationOf(deps, asOf, agent)));
}

/** `spiffe://td/a/b/c` → `spiffe://td/a/b/*`, `spiffe://td/a/*`, `spiffe://td/*`: the longest first. */
function patternsOf(spiffeId: string): string[] {
  const { trustDomain, path } = parseSpiffeId(spiffeId);
  const lengths = Array.from({ length: Math.min(path.length, deepestPattern) }, (_, i) => path.length - 1 - i);
  return lengths.map((length) => `spiffe://${[trustDomain, ...path.slice(0, length)].join('/')}/*`);
}
