/**
 * One running copy of an agent gets an identity of its own: who asks, with which key, what it would be, may it, then sign,
 * one transaction, answer.
 */

import { noteUse } from '../client-auth/last-use.ts';
import { mayAct } from '../decide/decide.ts';
import { boundPlace } from '../decide/place.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { ownUrls } from '../lib/own-urls.ts';
import { changed } from '../tokens/issue.ts';
import { plannedAnew } from '../tokens/planned-anew.ts';
import type { InstanceAnswer } from './answer.ts';
import { attributesOf, mustFit } from './attributes.ts';
import { type EnrolBody, enrolBody, parsed } from './body.ts';
import { keyOfRequest } from './csr.ts';
import { type Enroller, enrollerOf, type InstanceRequest, mayEnrol } from './enroller.ts';
import { given } from './given.ts';
import { instancesPath } from './paths.ts';
import { endOf, newInstance } from './plan.ts';
import { keyOfProof, type ProvenKey } from './proof.ts';

/**
 * Enrols an instance. If a token is asked for too and refused, nothing is enrolled and the enrolment token can be used
 * again: one decision, one answer.
 * @throws OAuthError for what is refused; whatever an authenticated client was refused is on record by then
 */
export async function enrol(deps: Deps, request: InstanceRequest): Promise<InstanceAnswer> {
  const body = parsed(enrolBody, request.body);
  const { context } = request;
  return plannedAnew(deps, {
    type: 'instance.refused',
    context,
    asked: () => askedOf(body),
    who: (since) => enrollerOf(deps, request, body, since),
    async attempt(enroller, spends) {
      const { client, enrolment } = enroller;
      const { agent } = client;
      const now = deps.clock.now();
      mayAct(agent, now);
      mayEnrol(enroller, context);
      const key = provenKey(deps, request, body, enroller);
      spends.push(...key.proofs);
      const attributes = attributesOf({
        address: context.address,
        attested: client.attested,
        orchestrated: enrolment?.detail.attributes ?? {},
        declared: body.attributes,
      });
      mustFit(agent.instances, attributes);
      boundPlace(deps, agent, { attributes }); // what its tokens would be limited to has to be known
      const expiresAt = endOf(deps, now, body, { client, parent: undefined });
      const instance = newInstance(deps, now, { client, key, attributes, expiresAt });
      const answer = await given(deps, { client, instance, key, enrolment: enrolment?.id, spends, context }, body);
      if (answer !== changed && !enrolment) noteUse(deps, client.credential);
      return answer;
    },
  });
}

/** @throws OAuthError `invalid_request` without a key, or with two; `invalid_dpop_proof` */
function provenKey(
  deps: Deps,
  { dpop }: InstanceRequest,
  { csr }: EnrolBody,
  { client, enrolment }: Enroller,
): ProvenKey {
  if (dpop === undefined && csr === undefined) {
    throw new OAuthError('invalid_request', 'prove a key: send a DPoP proof by it, or a csr');
  }
  const urls = ownUrls(deps.config, instancesPath);
  const shown =
    dpop === undefined ? undefined : keyOfProof(deps, dpop, { method: 'POST', urls, accessToken: enrolment?.secret });
  const requested = csr === undefined ? undefined : keyOfRequest(deps.config, csr, client.agent);
  if (shown && requested && shown.thumbprint !== requested.thumbprint) {
    throw new OAuthError('invalid_request', 'the DPoP proof and the csr are by two keys: an instance has one');
  }
  return shown && requested ? { ...shown, dnsNames: requested.dnsNames } : ((shown ?? requested) as ProvenKey);
}

/** What was asked for, as the log can keep it: names and numbers, nothing that a model wrote. */
export const askedOf = (
  body: Pick<EnrolBody, 'lifetime_seconds' | 'token' | 'x509_svid'> & { attributes?: object },
) => ({
  attributes: Object.keys(body.attributes ?? {}),
  lifetime_seconds: body.lifetime_seconds,
  resource: body.token?.resource,
  scope: body.token?.scope,
  token: body.token !== undefined,
});
