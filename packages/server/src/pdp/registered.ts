/** What the registry knows of an organization, as far as questions are about it: read once for each of its versions. */
import type { Agent } from '../agents/agent.ts';
import { selectAgents } from '../agents/store.ts';
import type { Registry } from '../decide/registered.ts';
import { rememberedPer } from '../lib/remember.ts';
import type { Guard, Resource } from '../resources/resource.ts';
import { findGuardOfAgent, findResource, findResourceByIdentifier, selectResources } from '../resources/store.ts';

const guards = rememberedPer<Guard>(10_000);
const resources = rememberedPer<Resource>(10_000);
const everyResource = rememberedPer<Resource[]>(100);

/** What an agent guards, if it is a guard, whatever that guard's status. */
export const guardOf = ({ db }: Registry, version: number, agent: string): Promise<Guard | undefined> =>
  guards(db).get(version, agent, () => findGuardOfAgent(db, agent));

/** The resource with this id, of whatever organization; the server's own too. */
export const resourceById = ({ db }: Registry, version: number, id: string): Promise<Resource | undefined> =>
  resources(db).get(version, id, () => findResource(db, id));

/** The organization's resource with exactly this identifier. The server's own are nobody's: policies don't decide about them. */
export async function resourceCalled(
  { db }: Registry,
  version: number,
  org: string,
  identifier: string,
): Promise<Resource | undefined> {
  const resource = await resources(db).get(version, identifier, () => findResourceByIdentifier(db, identifier));
  return resource?.org === org && !resource.system ? resource : undefined;
}

/** All resources of the organization that may be reached, in the order of their identifiers. */
export async function resourcesOf({ db }: Registry, version: number, org: string): Promise<readonly Resource[]> {
  const found = await everyResource(db).get(version, org, async () => {
    const all = await selectResources(db, { org, status: 'active', limit: 10_000 });
    return all.filter(({ system }) => !system).sort((a, b) => (a.identifier < b.identifier ? -1 : 1));
  });
  return found ?? [];
}

/** Agents of the organization that come after `after`, in the order of their ids. */
export const agentsAfter = (
  { db }: Registry,
  org: string,
  after: string | undefined,
  limit: number,
): Promise<readonly Agent[]> => selectAgents(db, { org, status: 'active', after, limit });
