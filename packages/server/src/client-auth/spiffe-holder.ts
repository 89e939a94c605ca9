/** Whom an SVID stands for: an instance or agent of ours, or the agent that has registered a foreign SPIFFE ID. */
import { parseSpiffeId, thumbprint as thumbprintOf } from '@bailiwick/protocol';
import { findInstanceBySpiffeId } from '../agents/instance-store.ts';
import { findByThumbprint } from '../credentials/store.ts';
import { spiffeThumbprint } from '../credentials/subject.ts';
import type { PresentedCertificate } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { unverifiedUris } from '../lib/x509-verify.ts';
import type { Counter } from '../liveness/liveness.ts';
import { verifiedByBundles } from '../svid/bundles.ts';
import { spiffeIdOf, type VerifiedLeaf, verifyX509Svid } from '../svid/verify-x509.ts';
import { spiffeId as spiffeIdOfAgent } from '../tokens/claims.ts';
import { instanceAlive } from '../tokens/instance-standing.ts';
import type { Proven } from './by-certificate.ts';
import { endOfEnrolling, registrationOf } from './registration.ts';

/** Deeper than anybody nests their workloads; each step costs a look into the registry. */
const deepestPattern = 16;

/**
 * Validates the chain as an X.509-SVID, with the bundle of the trust domain that its leaf names and of no other.
 * @throws ProtocolError why it doesn't hold
 */
export async function verifiedSvid(deps: Deps, asOf: Counter, { chain }: PresentedCertificate): Promise<VerifiedLeaf> {
  const org = await judgeOf(deps, asOf, spiffeIdOf({ uris: unverifiedUris(chain[0] as Buffer) }));
  return verifiedByBundles(deps, asOf.version, org, (bundles) =>
    verifyX509Svid(chain, { bundles, now: deps.clock.now(), purpose: 'client' }),
  );
}

/**
 * By whose partners an identity of a foreign trust domain is judged: the organization of the agent that it stands for. Undefined for
 * our own, which nobody needs to know of, and where it stands for nobody.
 * @param spiffeId as it was claimed: nothing of it was verified yet
 */
export async function judgeOf(deps: Deps, asOf: Counter, spiffeId: string): Promise<string | undefined> {
  if (parseSpiffeId(spiffeId).trustDomain === deps.config.trust_domain) return undefined;
  return (await registeredFor(deps, asOf, spiffeId))?.agent.org;
}

/** Who has the SPIFFE ID of a verified leaf, by the leaf's own key; undefined if nobody living does. */
export function holderOf(deps: Deps, asOf: Counter, leaf: VerifiedLeaf): Promise<Proven | undefined> {
  return holderOfId(deps, asOf, spiffeIdOf(leaf), thumbprintOf(leaf.publicJwk));
}

/**
 * Who has a proven SPIFFE ID; undefined if nobody living does.
 * @param key the key that was proven with it (RFC 7638), where one was: it must still be the holder's
 */
export async function holderOfId(
  deps: Deps,
  asOf: Counter,
  spiffeId: string,
  key: string | undefined,
): Promise<Proven | undefined> {
  const { trustDomain, path } = parseSpiffeId(spiffeId);
  if (trustDomain !== deps.config.trust_domain) return registeredFor(deps, asOf, spiffeId);
  if (path.length === 3) return ownInstance(deps, asOf, spiffeId, key);
  return key === undefined ? undefined : ownAgent(deps, asOf, spiffeId, key);
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

/** An agent without an instance has a certificate for a key that it has registered: while the key lives, so does that. */
async function ownAgent(deps: Deps, asOf: Counter, spiffeId: string, key: string): Promise<Proven | undefined> {
  const holder = await findByThumbprint(deps.db, key);
  const registration = holder && (await registrationOf(deps, asOf, holder.agent));
  if (!registration || spiffeIdOfAgent(deps.config, registration.agent) !== spiffeId) return undefined;
  const now = deps.clock.now();
  const found = registration.keys.find(
    ({ thumbprint, expiresAt }) => thumbprint === key && (expiresAt === undefined || expiresAt > now),
  );
  return (
    found && {
      agent: registration.agent,
      credential: found.id,
      thumbprint: found.thumbprint,
      credentialEndsAt: found.expiresAt,
    }
  );
}

/** The agent that has registered this SPIFFE ID: exactly, or else by the longest pattern that it is below. */
async function registeredFor(deps: Deps, asOf: Counter, spiffeId: string): Promise<Proven | undefined> {
  const now = deps.clock.now();
  for (const name of [spiffeId, ...patternsOf(spiffeId)]) {
    const thumbprint = spiffeThumbprint(name);
    const holder = await findByThumbprint(deps.db, thumbprint);
    const registration = holder && (await registrationOf(deps, asOf, holder.agent));
    const credential = registration?.others.find(
      (each) => each.kind === 'spiffe_id' && each.thumbprint === thumbprint && (each.expiresAt ?? now + 1) > now,
    );
    if (!registration || !credential) continue;
    return { agent: registration.agent, credential: credential.id, thumbprint, credentialEndsAt: credential.expiresAt };
  }
  return undefined;
}

/** `spiffe://td/a/b/c` → `spiffe://td/a/b/*`, `spiffe://td/a/*`, `spiffe://td/*`: the longest first. */
function patternsOf(spiffeId: string): string[] {
  const { trustDomain, path } = parseSpiffeId(spiffeId);
  const lengths = Array.from({ length: Math.min(path.length, deepestPattern) }, (_, i) => path.length - 1 - i);
  return lengths.map((length) => `spiffe://${[trustDomain, ...path.slice(0, length)].join('/')}/*`);
}
