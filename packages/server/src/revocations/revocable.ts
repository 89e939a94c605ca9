/** What can be revoked, and what that does: the words that every kind is described in. */
import type { EventType } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import type { Queries, Tx } from '../store/database.ts';

/**
 * `suspend`: may not act until it is resumed. `end`: for good. `tokens`: it goes on, and what was given out until now is dead.
 * In each case every token dies that rests on it.
 */
export const effects = ['suspend', 'end', 'tokens'] as const;
export type Effect = (typeof effects)[number];

/** Something that can be revoked, as it was found. */
export interface Target<Thing = unknown> {
  id: string;
  /** As people call it; its id where it has no name. */
  name: string;
  /** Whose it is; nothing where it is the deployment's own. */
  org: string | undefined;
  /** The agent that it is or hangs on, and who answers for that. */
  agent?: { id: string; owner: string };
  /** It ended for good, or its time is up: there is nothing left to revoke. */
  over: boolean;
  /** Comes with the server: nobody changes it. */
  builtIn?: boolean;
  thing: Thing;
}

/** Why, by whom and when (milliseconds), as `liveness/` keeps it. */
export interface Reason {
  reason: string;
  /** An agent. */
  by: string;
  now: number;
}

export interface Order extends Reason {
  effect: Effect;
  /** With a person or team: the agents too that they answer for. */
  agents?: boolean;
  /** What `prepare` made. */
  prepared?: unknown;
}

/** What is to be told of it in the log, beside who did it: as a change of the admin API tells it. */
export interface RevocationEvent {
  type: EventType;
  /** Whose data it was; of what is the deployment's own, whoever revoked it says. */
  org: string | undefined;
  target: string;
  changed?: Readonly<Record<string, unknown>> | undefined;
  details?: Readonly<Record<string, unknown>> | undefined;
  /** For whom it was, with whom what is personal of it goes. */
  person?: string | undefined;
  /** Nobody remembers anything of it between requests. */
  unremembered?: boolean;
}

/** A kind of thing that can be revoked. @see `subjects.ts` */
export interface Revocable<Thing> {
  /** What can be done, what is meant by default first. */
  effects: readonly [Effect, ...Effect[]];
  /** How it is named beside its id, in words. */
  namedBy?: string;
  /** Those who answer for an agent may do it to what hangs on that agent (`revocations:own`). */
  byOwners?: true;
  /** It concerns every organization. */
  everybodys?: true;
  /** How many could be locked out of the server: the agent that it hangs on, anybody, or nobody. */
  locksOut: 'agent' | 'anybody' | 'nobody';
  /** By id or name, within an organization. What is elsewhere may be found by its id: who may know of it is the caller's to decide. */
  find(q: Queries, reference: string, org: string): Promise<Target<Thing> | undefined>;
  /** Which scopes of the admin API somebody must hold who does this: what it takes away could else not be given back. */
  power?(q: Queries, target: Target<Thing>, order: Pick<Order, 'effect' | 'agents'>): Promise<string[]>;
  /** Refuses by a sentence, such as "is the organization that …". */
  forbids?(q: Queries, target: Target<Thing>, order: Pick<Order, 'effect' | 'agents'>): Promise<string | undefined>;
  /** What takes long is made before the transaction. */
  prepare?(deps: Deps, target: Target<Thing>): Promise<unknown>;
  /** Does it, in `Database.transaction`. Answers what there is to tell: nothing if nothing was changed. */
  run(tx: Tx, deps: Deps, target: Target<Thing>, order: Order): Promise<RevocationEvent[]>;
}

/** The event of a revocation that leaves the thing as it is. */
export const tokensRevoked = (
  { id, org }: Pick<Target, 'id' | 'org'>,
  kind: string,
  reason: string,
): RevocationEvent => ({
  type: 'token.revoked',
  org,
  target: id,
  changed: { kind },
  details: { reason },
});
