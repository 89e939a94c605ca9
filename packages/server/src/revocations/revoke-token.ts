/** One token, by its `jti`: the event that tells of its issue says whose it is and how long it would live. */

import { findAgent } from '../agents/store.ts';
import { issueEventId } from '../lib/ids.ts';
import { endToken } from '../liveness/liveness.ts';
import type { Revocable } from './revocable.ts';
import { findIssue, type IssuedToken } from './store.ts';

const jtiShape = /^[0-9a-hjkmnp-tv-z]{26}$/;

export const tokens: Revocable<IssuedToken> = {
  effects: ['end'],
  namedBy: 'the JWT itself, in the body',
  byOwners: true,
  locksOut: 'nobody',
  async find(q, jti) {
    const issued = jtiShape.test(jti) ? await findIssue(q, issueEventId(jti)) : undefined;
    const agent = issued && (await findAgent(q, issued.agent));
    if (!issued || !agent) return undefined;
    return {
      id: jti,
      name: jti,
      org: issued.org,
      agent: { id: agent.id, owner: agent.owner },
      over: false,
      thing: issued,
    };
  },
  async run(tx, _deps, { id: jti, org, thing }, { reason, by, now }) {
    const { agent, endsAt, resource, identifier } = thing;
    if (endsAt <= now) return []; // its time was up
    const rev = await endToken(tx, { jti, agent, endsAt, resource }, { reason, by, now });
    if (rev === undefined) return [];
    const changed = { agent, kind: 'token', resource: identifier };
    return [{ type: 'token.revoked', org, target: jti, changed, details: { reason }, unremembered: true }];
  },
};
