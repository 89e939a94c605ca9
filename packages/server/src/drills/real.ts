/**
 * What can be asked about a real agent: its key is its own, so nobody can call or ask for a token in its name. Its living tokens are asked about, as
 * far as the log knows them, and who hears of it by signals.
 */
import { linkTag } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import type { Deps } from '../deps.ts';
import { tagsEndedSince } from '../liveness/liveness.ts';
import { searchEvents } from '../log/search.ts';
import { findResource } from '../resources/store.ts';
import { listUri } from '../status-lists/allocate.ts';
import { findListed } from '../status-lists/store.ts';
import { type Asked, cannot, type ProbeName, streamsAsked, streamsOf, validInList } from './probes.ts';

/** The newest so many tokens are asked about. */
const tokensAtMost = 20;
const longestTokenMs = 15 * 60_000;

interface Issued {
  agent: string;
  org: string;
  instance?: string;
  resource: string;
  jti: string;
  decided_on: { expires_at: number; rev: number; links: string[]; task?: string; resource_id: string };
}

export type Named = Asked & { probe: ProbeName };

/** Everything that can be asked about this agent now; with why for what can't. */
export async function askedOf(deps: Deps, agent: Agent): Promise<Named[]> {
  const now = deps.clock.now();
  const filter = { org: agent.org, agent: agent.id, types: ['token.issued'], since: now - longestTokenMs };
  const { events, next } = await searchEvents(deps, filter, { order: 'newest', limit: tokensAtMost });
  const living = (events.map(({ leaf }) => leaf) as unknown as Issued[]).filter(
    ({ decided_on }) => decided_on.expires_at > now,
  );
  const asked: Named[] = [];
  for (const issued of living) asked.push(...(await aboutToken(deps, issued, now)));
  if (next !== undefined) {
    const why = `only its ${tokensAtMost} newest tokens are asked about; the others rest on the same agent`;
    asked.push({ probe: 'introspection', what: 'older tokens', accepts: cannot(why) });
  }
  const notOurs = cannot('its key is its own: nobody else can ask in its name');
  asked.push({ probe: 'token_request', accepts: notOurs }, { probe: 'instance_renewal', accepts: notOurs });
  const streams = streamsAsked(deps, await streamsOf(deps, agent.org));
  return [...asked, ...streams.map((one): Named => ({ ...one, probe: 'signals' }))];
}

/** What introspection answers by, and our own APIs at each request; and the status list, where the token stands in one. */
async function aboutToken(deps: Deps, issued: Issued, now: number): Promise<Named[]> {
  const { agent, org, instance, jti, resource: identifier, decided_on } = issued;
  const { task, links, rev, resource_id } = decided_on;
  const resource = await findResource(deps.db, resource_id);
  const restsOn = [jti, agent, org, instance, task, ...links].filter((id) => id !== undefined);
  const tags = [...new Set(restsOn.map(linkTag))];
  const what = `${resource?.name ?? identifier}, token ${jti}`;
  const probe = resource?.system === 'service' ? 'service_api' : resource?.system ? 'admin_api' : 'introspection';
  const asked: Named[] = [{ probe, what, accepts: async () => !(await tagsEndedSince(deps.db, tags, rev)) }];
  const place = await findListed(deps.db, { resource: resource_id, tag: linkTag(jti), now });
  if (place) {
    const { list, idx } = place;
    const uri = listUri(deps.config, list);
    asked.push({ probe: 'status_list', what, accepts: () => validInList(deps, { idx, uri }) });
  }
  return asked;
}
