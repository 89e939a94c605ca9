/** Mandates that help nobody: those that can't be used, those near their end, those of which nothing is left. */
import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import type { Mandate } from '../mandate-words.ts';
import type { Agent, Resource, Role } from '../registry.ts';
import { type Finding, note, ok, someOf, warn } from './finding.ts';
import { isGivenAny, type Registered } from './power.ts';

const dayMs = 86_400_000;
const soonDays = 7;
/** Whatever is given for less is meant to end soon. */
const lastingDays = 14;
const nearlySpent = 0.9;
/** So many are looked at: people may have given any number. */
const atMost = 2000;

/** Nothing where no mandate is alive, or where they are not this identity's to see. */
export async function checkMandates(api: Api, agents: readonly Agent[], now: number): Promise<Finding[]> {
  try {
    const active = await api.list<Mandate>('/mandates', { status: 'active' }, atMost);
    const stopped = await api.list<Mandate>('/mandates', { status: 'stopped' }, atMost);
    if (active.length + stopped.length === 0) return [];
    const roles = await api.list<Role>('/roles');
    const resources = await api.list<Resource>('/resources');
    return findings({ active, stopped, agents, roles, resources, over: await overOf(api, stopped) }, now);
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return [];
    throw error;
  }
}

interface Seen extends Registered {
  active: readonly Mandate[];
  /** Something that they rest on doesn't let them be used. */
  stopped: readonly Mandate[];
  /** Ids of mandates that stop others and are over. */
  over: ReadonlySet<string>;
}

/** Of what stops some of them, those mandates that never come back. */
async function overOf(api: Api, stopped: readonly Mandate[]): Promise<Set<string>> {
  const over = new Set<string>();
  for (const id of new Set(stopped.map(({ stopped_by = '' }) => stopped_by))) {
    if (!id.startsWith('mdt_')) continue;
    const status = await statusOf(api, id);
    if (status === undefined || status === 'ended' || status === 'expired') over.add(id);
  }
  return over;
}

/** Undefined of one that was forgotten. */
async function statusOf(api: Api, id: string): Promise<Mandate['status'] | undefined> {
  try {
    return (await api.get<Mandate>(`/mandates/${id}`)).status;
  } catch (error) {
    if (error instanceof CliError && error.reason === 'not_found') return undefined;
    throw error;
  }
}

function findings(seen: Seen, now: number): Finding[] {
  const { active, stopped, agents } = seen;
  const check = 'mandates';
  const names = new Map(agents.map(({ id, name }) => [id, name]));
  const named = (some: readonly Mandate[], more: (one: Mandate) => string = () => '') =>
    someOf(some.map((one) => `${one.name ?? one.id} of ${names.get(one.agent) ?? one.agent}${more(one)}`));
  const retired = new Set(agents.filter(({ status }) => status === 'retired').map(({ id }) => id));
  const dead = stopped.filter(({ stopped_by = '' }) => retired.has(stopped_by) || seen.over.has(stopped_by));
  const why = ({ stopped_by = '' }: Mandate) =>
    retired.has(stopped_by)
      ? ` (agent ${names.get(stopped_by)} is retired)`
      : ` (it came from ${stopped_by}, which is over)`;
  const powerless = active.filter(({ agent, resources }) => !isGivenAny(agent, resources, seen));
  const ending = endingAlone(active, now);
  const spent = active.filter(({ ledger }) => ledger.some((each) => each.spent >= each.most * nearlySpent));
  const found: Finding[] = [];
  const complain = (about: readonly Mandate[], message: string, todo: string) => {
    if (about.length > 0) found.push(warn(check, message, todo));
  };
  complain(dead, `They can never be used again: ${named(dead, why)}.`, 'bailiwick mandates end MANDATE');
  complain(
    powerless,
    `No role of the agent gives anything that they allow: ${named(powerless)}.`,
    'bailiwick roles grant ROLE AGENT, and agents update AGENT --resource RESOURCE; or bailiwick mandates end MANDATE',
  );
  complain(
    ending,
    `Within ${soonDays} days they end, and nothing takes their place: ${named(ending)}.`,
    'bailiwick mandates give AGENT --for PERSON …; what a file gave: a new one under another name',
  );
  complain(
    spent,
    `A tenth or less is left of what they limit: ${named(spent)}.`,
    'What is left: bailiwick mandates show MANDATE; more only by a new one: bailiwick mandates give',
  );
  if (active.length === atMost || stopped.length === atMost)
    found.push(note(check, `Only the ${atMost} oldest of a kind were looked at.`));
  return found.length > 0 || active.length === 0
    ? found
    : [ok(check, `each can be used, and lasts (${active.length})`)];
}

/** Of those that were meant to last, whichever end before long without one beside them that lasts. What was passed on ends with its root. */
function endingAlone(active: readonly Mandate[], now: number): Mandate[] {
  const isNear = ({ expires_at }: Mandate) => Date.parse(expires_at) - now < soonDays * dayMs;
  const whose = ({ person, agent }: Mandate) => `${person} ${agent}`;
  const lasting = new Set(active.filter((one) => !isNear(one)).map(whose));
  const lasts = ({ created_at, expires_at }: Mandate) =>
    Date.parse(expires_at) - Date.parse(created_at) >= lastingDays * dayMs;
  return active.filter((one) => one.parent === undefined && isNear(one) && lasts(one) && !lasting.has(whose(one)));
}
