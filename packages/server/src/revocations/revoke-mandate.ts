/** What a person let an agent do: how that is taken back, with all that was passed on of it. */
import { findAgent } from '../agents/store.ts';
import { narrowSubject } from '../liveness/liveness.ts';
import type { Mandate } from '../mandates/mandate.ts';
import { endMandate, pauseMandate } from '../mandates/standing.ts';
import { findMandate } from '../mandates/store.ts';
import { type Revocable, tokensRevoked } from './revocable.ts';

export const mandates: Revocable<Mandate> = {
  effects: ['suspend', 'end', 'tokens'],
  byOwners: true,
  locksOut: 'nobody',
  async find(q, reference) {
    const mandate = await findMandate(q, reference);
    const agent = mandate && (await findAgent(q, mandate.agent));
    if (!mandate || !agent) return undefined;
    const { id, org, endedAt } = mandate;
    return {
      id,
      name: id,
      org,
      agent: { id: agent.id, owner: agent.owner },
      over: endedAt !== undefined,
      thing: mandate,
    };
  },
  async run(tx, _deps, target, { effect, reason, by, now }) {
    const { thing: mandate } = target;
    if (target.over || mandate.endsAt <= now) return [];
    if (effect === 'tokens') {
      await narrowSubject(tx, { id: mandate.id, reason, by, now });
      return [tokensRevoked(target, 'mandate', reason)];
    }
    const stop = effect === 'suspend' ? pauseMandate : endMandate;
    if ((await stop(tx, mandate, { reason, by, now })) === undefined) return [];
    return [
      {
        type: effect === 'suspend' ? 'mandate.paused' : 'mandate.ended',
        org: mandate.org,
        target: mandate.id,
        changed: { agent: mandate.agent },
        details: { reason },
        person: mandate.person,
        unremembered: true,
      },
    ];
  },
};
