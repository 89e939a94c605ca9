import { agentNames } from '../agents/store.ts';
import type { ReadEvent } from '../audit/audit.ts';
import { seenPlace } from '../decide/place.ts';
import type { Surroundings } from '../policy/recorded.ts';
import type { Call } from './route.ts';

/** What these events don't tell of themselves, so that policies can be asked again what they were asked. */
export async function surroundingsOf({ q, org, deps }: Call, events: readonly ReadEvent[]): Promise<Surroundings> {
  const ids = new Set(events.flatMap(({ leaf }) => (typeof leaf.agent === 'string' ? [leaf.agent] : [])));
  const names = await agentNames(q, org.id, [...ids]);
  return { agentName: (id) => names.get(id), seen: (address, zone) => seenPlace(deps, address, zone) };
}
