/** Who speaks for an instance: whoever has just used its key, or, to look and to end, that of one of its parents. */

import type { Instance } from '../agents/instance.ts';
import { instanceAlive } from '../agents/instance-standing.ts';
import { findInstance, findInstanceByKey } from '../agents/instance-store.ts';
import { keyOfConnection } from '../client-auth/certificate-key.ts';
import { endOfEnrolling, registrationOf } from '../client-auth/registration.ts';
import type { Client, Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { ownUrls } from '../lib/own-urls.ts';
import type { Counter } from '../liveness/liveness.ts';
import type { InstanceRequest } from './enroller.ts';
import { instancesPath } from './paths.ts';
import { keyOfProof } from './proof.ts';

export interface Holder {
  /** What the path names. */
  instance: Instance;
  /** The agent, as spoken for by the instance whose key was used. */
  client: Client & { instance: Instance };
}

/** Everybody who fails hears the same: what exists is none of a stranger's business. */
const stranger = (reason: string) =>
  new OAuthError('invalid_client', 'there is no living instance here of which you have shown the key', { reason });

/**
 * The key that was just used: by a proof for this request, else by the handshake of the connection, which needs nothing to be spent.
 * Whose name the certificate bears, who issued it and until when is all the same here: TLS proved the key, and the key is the instance's. A
 * child is enrolled by a proof alone.
 */
function keyShown(
  deps: Deps,
  { dpop, certificate }: InstanceRequest,
  { id, method, below }: { id: string; method: string; below: string },
): { thumbprint: string; proofs: readonly Spend[] } {
  if (dpop !== undefined) {
    return keyOfProof(deps, dpop, { method, urls: ownUrls(deps.config, `${instancesPath}/${id}${below}`) });
  }
  const thumbprint = below === '/children' ? undefined : keyOfConnection(certificate);
  if (thumbprint === undefined) throw stranger('no proof, and no certificate of a key that an instance has');
  return { thumbprint, proofs: [] };
}

/**
 * @param asked `below` is the rest of the path; `byParents`: the key of a parent will do
 * @throws OAuthError `invalid_client`, `invalid_dpop_proof`
 */
export async function holderOf(
  deps: Deps,
  request: InstanceRequest,
  asked: { id: string; method: string; below: string; byParents: boolean },
  asOf: Counter,
): Promise<Holder> {
  const { id, byParents } = asked;
  if (!isId('instance', id)) throw stranger('no id of an instance');
  const key = keyShown(deps, request, asked);
  const [named, shown] = [await findInstance(deps.db, id), await findInstanceByKey(deps.db, key.thumbprint)];
  if (!named || !shown) throw stranger('unknown instance');
  if (shown.id !== named.id && !(byParents && named.ancestors.includes(shown.id))) throw stranger('the key of another');
  const now = deps.clock.now();
  if (!(await instanceAlive(deps.db, shown, now)) || !(await instanceAlive(deps.db, named, now))) {
    throw new OAuthError('invalid_client', 'this instance has ended: enrol a new one', {
      reason: 'instance has ended',
    });
  }
  const registration = await registrationOf(deps, asOf, named.agent);
  if (!registration) throw stranger('unknown agent');
  return {
    instance: named,
    client: {
      agent: registration.agent,
      credential: named.credential,
      thumbprint: key.thumbprint,
      credentialEndsAt: endOfEnrolling(registration, named),
      method: 'instance_key',
      instance: shown,
      proofs: key.proofs,
      asOf,
    },
  };
}
