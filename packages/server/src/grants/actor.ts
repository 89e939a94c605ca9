/** Who would act: the client that has authenticated, or the instance of it that a token of its own tells of. */
import type { ChainedActor, Confirmation } from '@bailiwick/protocol';
import { instanceAlive } from '../agents/instance-standing.ts';
import { findInstance } from '../agents/instance-store.ts';
import type { Binding, Client } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { spiffeId, subProfiles } from '../tokens/claims.ts';
import { outsideOf, standingOf } from '../tokens/introspect.ts';
import type { GrantRequest } from './grant.ts';
import { accessTokenTypes, typedToken } from './token-types.ts';

export interface ActingClient {
  client: Client;
  /** As it will stand in the chain. @see draft-mcguinness-oauth-actor-profile */
  actor: ChainedActor;
}

/**
 * The actor. An `actor_token` is a token of the client itself, not exchanged, by the key that this request proves.
 * @throws OAuthError `invalid_request`
 * @see RFC 8693 §2.1, §4.1
 */
export async function requestedActor(
  deps: Deps,
  client: Client,
  { form, binding, context }: Pick<GrantRequest, 'form' | 'binding' | 'context'>,
): Promise<ActingClient> {
  const shown = typedToken(form, 'actor_token', accessTokenTypes);
  const acting = shown ? await shownBy(deps, client, shown.token, { binding, context }) : client;
  const { agent, instance } = acting;
  return {
    client: acting,
    actor: {
      sub: instance?.spiffeId ?? spiffeId(deps.config, agent),
      iss: deps.config.issuer,
      sub_profile: subProfiles[agent.kind],
    },
  };
}

async function shownBy(
  deps: Deps,
  client: Client,
  token: string,
  { binding, context }: Pick<GrantRequest, 'binding' | 'context'>,
): Promise<Client> {
  const standing = await standingOf(deps, token, client.asOf);
  if (standing.state !== 'alive') throw unfit(standing.state === 'foreign' ? 'is none of ours' : 'lives no more');
  const { claims } = standing;
  if (claims.client_id !== client.agent.id) throw unfit('is not of the client that asks');
  if (claims.act) throw unfit('must be one that its client got for itself');
  if (claims.cnf === undefined || !isBoundTo(claims.cnf, binding)) {
    throw unfit('is not bound to the key that this request proves');
  }
  if (outsideOf(deps, claims, context.address) !== undefined) throw unfit('may not be used from here, or now');
  if (claims.instance === client.instance?.id || claims.instance === undefined) return client;
  const instance = await findInstance(deps.db, claims.instance);
  if (!instance || !(await instanceAlive(deps.db, instance, deps.clock.now()))) throw unfit('lives no more');
  return { ...client, instance };
}

/** Whether a request proves everything that a token is bound to. */
export const isBoundTo = (cnf: Confirmation, binding: Binding | undefined): boolean =>
  (cnf.jkt === undefined || cnf.jkt === binding?.jkt) &&
  (cnf['x5t#S256'] === undefined || cnf['x5t#S256'] === binding?.x5t);

const unfit = (why: string) => new OAuthError('invalid_request', `actor_token ${why}`);
