/** On whose authority a caller comes, where that matters beside what the token reaches: a person's, through how many hands, and through whose. */
import { linkTag, ProtocolError, parseSpiffeId } from '@bailiwick/protocol';
import type { KnownCaller } from './caller.ts';
import { GuardConfigError } from './options.ts';
import { Refusal } from './refusal.ts';
import type { VerifiedToken } from './tokens.ts';

/** What a caller's authority has to be. What isn't said isn't asked. */
export interface Demands {
  /** Somebody's authority is needed: agents that act for themselves are refused. */
  person?: boolean;
  /** How many agents may act one for another: 1 is the agent that the person let act, 0 an agent that acts for itself. */
  maxDepth?: number;
  /**
   * Agents that may be nowhere in the chain, neither calling nor having passed anything on, by id (`agt_…`) or SPIFFE ID. In a chain of several, an id is
   * found by what the token rests on: an orchestrator that opened its task is then taken for one of the chain.
   */
  without?: readonly string[];
}

/** What is demanded of everybody, and beside it of whoever wants certain operations, by name. */
export interface GuardDemands extends Demands {
  operations?: Readonly<Record<string, Demands>>;
}

/** One thing that is demanded: why a token doesn't meet it, or undefined if it does. */
export type Demand = (token: Pick<VerifiedToken, 'caller' | 'claims'>) => Refusal | undefined;

const known = new Set(['person', 'maxDepth', 'without']);

/**
 * Demands, each as a check.
 * @param name how whoever set them up calls them
 * @throws GuardConfigError saying what to write instead
 */
export function demandsFrom(name: string, demands: Demands | undefined): readonly Demand[] {
  if (demands === undefined) return [];
  if (typeof demands !== 'object' || demands === null) throw new GuardConfigError(`${name} must be an object.`);
  for (const member of Object.keys(demands)) {
    if (!known.has(member)) throw new GuardConfigError(`${name} knows no member "${member}".`);
  }
  const { person = false, maxDepth, without = [] } = demands;
  if (typeof person !== 'boolean') throw new GuardConfigError(`${name}.person must be true or false.`);
  if (maxDepth !== undefined && !(Number.isSafeInteger(maxDepth) && maxDepth >= 0)) {
    throw new GuardConfigError(`${name}.maxDepth must be a whole number from 0.`);
  }
  if (!Array.isArray(without)) throw new GuardConfigError(`${name}.without must be a list of agents.`);
  return [
    ...(person ? [somebody] : []),
    ...(maxDepth === undefined ? [] : [atMost(maxDepth)]),
    ...without.map((agent) => nowhere(agent, `${name}.without`)),
  ];
}

/** What a guard holds callers against. */
export interface DemandsHeld {
  /** Of everybody, or of whoever wants this operation. */
  of(operation?: string): readonly Demand[];
  /** The operations of which more is demanded. */
  readonly operations: readonly string[];
}

/** @throws GuardConfigError saying what to write instead */
export function demandsHeld({ operations = {}, ...all }: GuardDemands = {}): DemandsHeld {
  const ofAll = demandsFrom('demands', all);
  const more = new Map(
    Object.entries(operations).map(([name, demands]) => [
      name,
      [...ofAll, ...demandsFrom(`demands.operations["${name}"]`, demands)],
    ]),
  );
  return {
    of: (operation) => (operation === undefined ? ofAll : (more.get(operation) ?? ofAll)),
    operations: [...more.keys()],
  };
}

/** @throws Refusal `wrong_authority`, for the first that isn't met */
export function mustMeet(demands: readonly Demand[], token: Pick<VerifiedToken, 'caller' | 'claims'>): void {
  for (const demand of demands) {
    const refusal = demand(token);
    if (refusal !== undefined) throw refusal;
  }
}

/** Whether all of them are met. */
export const meets = (demands: readonly Demand[], token: Pick<VerifiedToken, 'caller' | 'claims'>): boolean =>
  demands.every((demand) => demand(token) === undefined);

const somebody: Demand = ({ caller }) => {
  if (caller.person !== undefined) return undefined;
  return refusal('This takes the authority of a person: come with a token to act for one.', 'it acts for no person');
};

function atMost(most: number): Demand {
  return ({ caller: { chain } }) => {
    if (chain.length <= most) return undefined;
    const detail = `Here at most ${most} may act one for another, and this token has ${chain.length}.`;
    return refusal(detail, `${chain.length} actors, and ${most} at most`);
  };
}

function nowhere(agent: string, name: string): Demand {
  const isInChain = agentIn(agent, name);
  return (token) => {
    if (!isInChain(token)) return undefined;
    const detail = 'An agent that takes part in this chain may not take part in it here.';
    return refusal(detail, `${agent} is in the chain`);
  };
}

type InChain = (token: Pick<VerifiedToken, 'caller' | 'claims'>) => boolean;

/** The chain has names, which are never used again, of agents or their instances. Ids of those who acted before stand among what the token rests on. */
function agentIn(agent: unknown, name: string): InChain {
  if (typeof agent === 'string' && /^agt_\w+$/.test(agent)) {
    const tag = linkTag(agent);
    return ({ caller, claims }) => caller.agent === agent || (hasEarlier(caller) && claims.links.includes(tag));
  }
  const spiffeId = spiffeIdOf(agent, name);
  const isAgents = (subject: string) => subject === spiffeId || subject.startsWith(`${spiffeId}/`);
  return ({ caller: { subject, chain, transaction } }) =>
    [subject, ...chain.map((actor) => actor.subject), ...(transaction?.requestedBy ?? [])].some(isAgents);
}

/** Whether another agent than the one calling has a part in it. Who requested a transaction token stands in no chain, and has. */
const hasEarlier = ({ person, chain, transaction }: KnownCaller): boolean =>
  transaction !== undefined || chain.length > (person === undefined ? 0 : 1);

function spiffeIdOf(agent: unknown, name: string): string {
  try {
    const { path } = parseSpiffeId(agent);
    if (path.length > 1) return agent as string;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  throw new GuardConfigError(`${name} must list ids (agt_…) or SPIFFE IDs of agents: ${String(agent)} is neither.`);
}

const refusal = (detail: string, reason: string) => new Refusal('wrong_authority', detail, { reason });
