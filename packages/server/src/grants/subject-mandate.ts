/** A mandate as a subject token: its id, shown by the agent that it names. */
import type { Actor } from '@bailiwick/protocol';
import { findInstance } from '../agents/instance-store.ts';
import type { Client } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { isHeldBy } from '../mandates/holder.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { isStopping, standingLine } from '../mandates/standing.ts';
import { spiffeId, subProfiles } from '../tokens/claims.ts';
import type { ActingClient } from './actor.ts';
import { agentOf, authoritiesOf, inFrontOf, mustReach, type Subject } from './subject.ts';

/**
 * The person of a mandate, for whom the client may act while all that it rests on is alive.
 * @throws OAuthError `invalid_request`: the same for a mandate of others and for none
 */
export async function subjectOfMandate(deps: Deps, { client, actor }: ActingClient, id: string): Promise<Subject> {
  const now = deps.clock.now();
  const standing = isId('mandate', id) ? await standingLine(deps.db, client.asOf, id, now) : undefined;
  const holder = { org: client.agent.org, agent: client.agent.id, instance: client.instance };
  if (!standing || !isHeldBy(standing.line[0], holder)) {
    throw new OAuthError('invalid_request', 'subject_token is no mandate of this agent');
  }
  const { line, restsOn, stoppedBy, endsAt } = standing;
  const [mandate, ...ancestors] = line;
  if (stoppedBy !== undefined) {
    const { person } = mandate; // nothing is put on record as theirs any more once they are erased
    throw stopped(mandate, stoppedBy, (await isStopping(deps.db, person, now)) ? undefined : person);
  }
  mustReach(authoritiesOf({ line }), 0, undefined);
  let earlier: Actor | undefined;
  for (const [above, each] of [...ancestors.entries()].toReversed()) {
    const passer = line[above]?.given.instance ?? each.instance; // the child says which copy passed it on
    earlier = inFrontOf(await actorOf(deps, client, each.agent, passer), earlier);
  }
  const [only, ...others] = mandate.resources;
  return {
    sub: mandate.person,
    profile: 'user',
    person: mandate.person,
    act: inFrontOf(actor, earlier),
    before: ancestors.map(({ agent }) => agent),
    line: [{ ...mandate, endsAt }, ...ancestors], // an agent or an instance of its line may end before it
    token: undefined,
    links: restsOn,
    tags: [],
    resource: others.length === 0 ? only?.resource : undefined,
  };
}

/** Whoever holds it may know which link it is. */
function stopped({ id }: Mandate, by: string, person: string | undefined): OAuthError {
  const what = by === id ? 'is paused, or has ended' : `rests on ${by}, which is stopped or has ended`;
  return new OAuthError('invalid_request', `mandate ${id} ${what}`, {
    reason: `${isId('person', by) ? 'its person' : by} is not alive`,
    person,
  });
}

async function actorOf(deps: Deps, client: Client, id: string, instance: string | undefined) {
  const agent = await agentOf(deps, client, id);
  const running = instance === undefined ? undefined : await findInstance(deps.db, instance);
  return {
    sub: running?.spiffeId ?? spiffeId(deps.config, agent),
    iss: deps.config.issuer,
    sub_profile: subProfiles[agent.kind],
  };
}
