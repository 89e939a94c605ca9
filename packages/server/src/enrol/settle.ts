/**
 * How an enrolment or renewal is settled: one transaction in which everything that it rests on is alive, the proofs and the
 * enrolment token are spent, a place is taken, the instance and its event are written; and the token with it, if one was
 * asked for. Whatever is refused leaves nothing but spent proofs and an event.
 */

import type { Instance } from '../agents/instance.ts';
import { keepPlace, placesOf, takePlace } from '../agents/instance-count-store.ts';
import { restsOn } from '../agents/instance-standing.ts';
import {
  countLivingBelow,
  findInstanceByKey,
  hasLivingChild,
  insertInstance,
  renewInstance,
} from '../agents/instance-store.ts';
import { appendEvent, appendPrepared, prepareEvent, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import { findByThumbprint, useOnce } from '../credentials/store.ts';
import type { Client, RequestContext, Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { newId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { endedSince, registerSubject } from '../liveness/liveness.ts';
import type { Tx } from '../store/database.ts';
import { changed, type PreparedToken } from '../tokens/issue.ts';
import { knownOf, personalOf, settleReplay } from '../tokens/refusal.ts';
import { spendAll } from '../tokens/spend.ts';
import { provenanceOf } from './attributes.ts';
import { enrolmentFailed } from './enroller.ts';
import { livingAtMost, livingBelowAtMost } from './plan.ts';

/** What is to be written, with all that it spends. */
export interface Settlement {
  client: Client;
  instance: Instance;
  /** As it was read, if this renews it. */
  before?: Instance | undefined;
  /** Id of the enrolment token that is used up. */
  enrolment?: string | undefined;
  spends: readonly Spend[];
  token?: PreparedToken | undefined;
  /** Of its X.509-SVID, for the log. */
  x5t?: string | undefined;
  context: RequestContext;
}

/**
 * Writes it, or answers `changed` if it must be planned again.
 * @throws OAuthError for what only the transaction could see
 */
export async function settleInstance(deps: Deps, planned: Settlement): Promise<typeof changed | undefined> {
  const { client, instance, context } = planned;
  const sealing = await sealingFor(deps, client.asOf.version, client.agent.owner);
  const event = writtenEvent(planned);
  // what is personal of most is the same each time, and stored already; what isn't is stored along with the event
  const prepared =
    event.personal.details === undefined
      ? await prepareEvent(deps, client.asOf.version, sealing, event, newId(deps, 'event'))
      : undefined;
  const outcome = await deps.db
    .settle(async (tx) => {
      if (await endedSince(tx, restsOn(instance), client.asOf.rev)) return changed;
      const replayed = await spendAll(tx, planned.spends);
      if (replayed) {
        return settleReplay(tx, deps, sealing, { type: 'instance.refused', client, context, asked: {} }, replayed);
      }
      // from here on a refusal is thrown, which undoes all of it; it is put on record after
      const written = planned.before ? await renewed(tx, planned.before, instance) : await enrolled(tx, deps, planned);
      if (!written) return changed;
      const refused = await planned.token?.settle(tx);
      if (refused === changed) throw new Overtaken();
      if (refused) throw refused;
      if (prepared) await appendPrepared(tx, prepared);
      else await appendEvent(tx, deps, sealing, event);
      return undefined;
    }, placesOf(instance.agent))
    .catch((error: unknown): typeof changed => {
      if (error instanceof Overtaken) return changed;
      throw error;
    });
  if (outcome instanceof OAuthError) throw outcome;
  return outcome;
}

/** What the token rests on has changed: nothing of the settlement may stay. */
class Overtaken extends Error {}

async function enrolled(tx: Tx, deps: Deps, { client, instance, enrolment }: Settlement): Promise<boolean> {
  const now = instance.createdAt;
  const { agent } = client;
  const { parent, name } = instance;
  if (parent !== undefined && name !== undefined && (await hasLivingChild(tx, parent, name, now))) {
    throw new OAuthError('invalid_request', 'name is the name of another living child');
  }
  if (enrolment !== undefined && !(await useOnce(tx, enrolment, now))) {
    throw enrolmentFailed(`enrolment token ${enrolment} was used before`);
  }
  if (await findByThumbprint(tx, instance.thumbprint)) throw keyIsKnown();
  const atMost = livingAtMost(deps, agent);
  const top = instance.ancestors.at(-1);
  const belowAtMost = livingBelowAtMost(atMost);
  if (top !== undefined && (await countLivingBelow(tx, top, now)) >= belowAtMost) {
    const message = `${belowAtMost} children, and theirs, of one instance of this agent live already`;
    throw new OAuthError('temporarily_unavailable', message, { status: 429, retryAfter: 60 });
  }
  if (!(await takePlace(tx, agent.id, { atMost, now, rev: instance.rev }))) {
    throw new OAuthError('temporarily_unavailable', `${atMost} instances of this agent live already`, {
      status: 429,
      retryAfter: 60,
    });
  }
  if (!(await insertInstance(tx, instance))) throw keyIsKnown();
  const subject = { id: instance.id, kind: 'instance' as const, parent: parent ?? agent.id };
  await registerSubject(tx, { ...subject, now });
  return true;
}

/** Answers false if it is no longer as it was read. */
async function renewed(tx: Tx, before: Instance, after: Instance): Promise<boolean> {
  if (after.thumbprint !== before.thumbprint) {
    if ((await findByThumbprint(tx, after.thumbprint)) || (await findInstanceByKey(tx, after.thumbprint))) {
      throw keyIsKnown();
    }
  }
  if (!(await renewInstance(tx, before, after))) return false;
  await keepPlace(tx, after.agent, before.expiresAt, after.expiresAt);
  return true;
}

const keyIsKnown = () =>
  new OAuthError('invalid_request', 'this key is or was used by somebody already: every instance makes a new one');

function writtenEvent({ client, instance, before, context, enrolment, x5t, token }: Settlement): AuditEvent {
  const { address: _address, ...attributes } = instance.attributes;
  const details = {
    ...(Object.keys(attributes).length > 0 && { attributes }),
    ...(instance.name !== undefined && { name: instance.name }),
  };
  return {
    type: before ? 'instance.renewed' : 'instance.enrolled',
    outcome: 'allowed',
    org: instance.org,
    agent: instance.agent,
    instance: instance.id,
    target: instance.id,
    trace: context.traceparent,
    decided_on: {
      ...(instance.allowed && { allowed: instance.allowed }),
      ancestors: instance.ancestors,
      attributes: provenanceOf(instance.attributes),
      ...knownOf(client),
      ...(enrolment && { enrolment_token: enrolment }),
      expires_at: instance.expiresAt,
      key: instance.thumbprint,
      ...(before && before.thumbprint !== instance.thumbprint && { key_before: before.thumbprint }),
      registry: client.asOf.version,
      rev: client.asOf.rev,
      token: token !== undefined,
      ...(x5t && { x5t }),
    },
    personal: { ...personalOf(client, context), ...(Object.keys(details).length > 0 && { details }) },
  };
}
