/** Who enrols: whoever holds an enrolment token of the agent, or the agent itself by any way of client authentication. */
import { networks } from '@bailiwick/protocol';
import { authenticateClient } from '../client-auth/authenticate.ts';
import { registrationOf } from '../client-auth/registration.ts';
import type { EnrolmentDetail } from '../credentials/credential.ts';
import { hashOf, isSecret } from '../credentials/secret.ts';
import { findByHash } from '../credentials/store.ts';
import type { Client, PresentedCertificate, RequestContext } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Counter } from '../liveness/liveness.ts';
import { spendOf } from '../tokens/spend.ts';
import type { EnrolBody } from './body.ts';

/** A request to this room, bounded but not believed. */
export interface InstanceRequest {
  body: unknown;
  authorization: string | undefined;
  dpop: string | undefined;
  certificate: PresentedCertificate | undefined;
  context: RequestContext;
}

export interface Enroller {
  client: Client;
  /** The enrolment token that it showed, which the enrolment uses up. */
  enrolment?: { id: string; secret: string; detail: EnrolmentDetail } | undefined;
}

/** Everybody who fails hears the same. */
export const enrolmentFailed = (reason: string) =>
  new OAuthError('invalid_client', 'this enrolment token can not be used: it is unknown, used, expired or revoked', {
    reason,
    settled: true,
  });

const authenticating = ['client_id', 'client_secret', 'client_assertion_type', 'client_assertion'] as const;

/**
 * @throws OAuthError `invalid_client` for who proves nothing, `invalid_request` for two ways at once
 */
export async function enrollerOf(
  deps: Deps,
  request: InstanceRequest,
  body: EnrolBody,
  asOf: Counter,
): Promise<Enroller> {
  const { authorization, dpop, certificate, context } = request;
  const [, bearer] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
  if (bearer !== undefined) {
    if (authenticating.some((name) => name !== 'client_id' && body[name] !== undefined)) {
      throw new OAuthError('invalid_request', 'use an enrolment token or client authentication, not both');
    }
    return byToken(deps, bearer, body.client_id, asOf);
  }
  const form = new Map<string, readonly string[]>();
  for (const name of authenticating) {
    const value = body[name];
    if (value !== undefined) form.set(name, [value]);
  }
  const client = await authenticateClient(deps, { form, authorization, dpop, certificate, context }, asOf);
  return { client: shownOnce(deps, client, body.client_assertion) };
}

/**
 * A JWT-SVID may be shown to get tokens as often as it lives, since those are bound to a key; here it says nothing of the new key, and
 * whoever had found one would have an instance for each key of theirs. So it enrols once. What it is known by is what was
 * signed: another spelling of the signature is no other JWT-SVID.
 */
function shownOnce({ config }: Deps, client: Client, assertion: string | undefined): Client {
  const { method, proofs, provenUntil } = client;
  if (method !== 'spiffe_jwt') return client;
  if (assertion === undefined || provenUntil === undefined) throw new Error('a JWT-SVID without text or end');
  const signed = assertion.slice(0, assertion.lastIndexOf('.'));
  const acceptedUntil = provenUntil + (config.clock_skew_seconds + 1) * 1000;
  return { ...client, proofs: [...proofs, spendOf('assertion', method, signed, acceptedUntil)] };
}

async function byToken(deps: Deps, secret: string, clientId: string | undefined, asOf: Counter): Promise<Enroller> {
  if (!isSecret('bwe', secret)) throw enrolmentFailed('no enrolment token');
  const credential = await findByHash(deps.db, 'enrolment_token', hashOf(secret), deps.clock.now());
  if (!credential) throw enrolmentFailed('unknown enrolment token');
  // its id is no secret, and whoever reads the log wants to know which one is going around
  if (credential.usedAt !== undefined) throw enrolmentFailed(`enrolment token ${credential.id} was used before`);
  const registration = await registrationOf(deps, asOf, credential.agent);
  if (!registration || (clientId !== undefined && clientId !== registration.agent.id)) {
    throw enrolmentFailed(`enrolment token ${credential.id} of another agent`);
  }
  return {
    client: {
      agent: registration.agent,
      credential: credential.id,
      thumbprint: credential.thumbprint,
      credentialEndsAt: undefined, // used in time it has done its part: what it enrolled may outlive it
      method: 'enrolment_token',
      proofs: [],
      asOf,
    },
    enrolment: { id: credential.id, secret, detail: credential.detail },
  };
}

/**
 * Whether this client, from here, may enrol at all.
 * @throws OAuthError `unauthorized_client`
 */
export function mayEnrol({ client, enrolment }: Enroller, context: RequestContext): void {
  if (client.instance) {
    throw new OAuthError('unauthorized_client', 'an instance enrols children: POST /instances/{id}/children');
  }
  const { addresses } = enrolment?.detail ?? {};
  if (addresses && addresses.length > 0 && !networks(addresses)(context.address)) {
    throw new OAuthError('unauthorized_client', 'this enrolment token can not be used from this address');
  }
}
