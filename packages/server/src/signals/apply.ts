/**
 * What a signal does here: what policy allows is done to each agent that it is about, by the road of every revocation. One event says what
 * came of it. One that means many is done in parts, so that everybody else has a turn in between. @see CAEP 1.0
 */
import { setImmediate } from 'node:timers/promises';
import { appendEvent, type Sealing, sealingFor } from '../audit/audit.ts';
import type { Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { asOf } from '../liveness/liveness.ts';
import { LastOperatorError } from '../revocations/last-operator.ts';
import type { Effect } from '../revocations/revocable.ts';
import { revoke } from '../revocations/revoke.ts';
import { type RevocableKind, revocable } from '../revocations/subjects.ts';
import type { Source } from '../ssf/source.ts';
import { noteHeard } from '../ssf/source-store.ts';
import type { Tx } from '../store/database.ts';
import { spendAll, spendOf, wasSpent } from '../tokens/spend.ts';
import { cameFromUs, effectSpend, keptId, onwardSpend } from './origin.ts';
import { type Plan, planned, type SignalEffect } from './plan.ts';
import { isControl, keptMs, type ReadSet } from './read-set.ts';
import { type Concerned, concernedBy, namesPeople, personNamed } from './whom.ts';

/** What came of it for one agent. */
interface Outcome {
  agent: string;
  concerns: Concerned['concerns'];
  effect: 'suspended' | 'revoked' | 'recorded' | 'kept';
  /** Statements that decided. */
  by: readonly string[];
  rev?: number | undefined;
  why?: string | undefined;
}

/** Agents of one transaction: it holds everybody else up for some milliseconds for each. */
const atOnce = 10;
const mostTries = 5;
/** Outcomes that an event tells one by one. */
const mostTold = 100;

/** A signal on its way. */
interface Taking {
  source: Source;
  set: ReadSet;
  /** What taking it spends. */
  once: Spend;
  /** It tells of what we told. */
  ours: boolean;
  /** It is about somebody here. */
  anybody: boolean;
  /** It is done in more than one part: each spends by itself what it does, since the next may never come. */
  inParts: boolean;
}

/**
 * Takes a SET that was verified: once, however often it comes. When this has resolved it is on disk, with all that it does. What a
 * server that ended in the middle had done of it is not done again when it comes anew.
 * @returns false if it was taken before
 */
export async function takeSignal(deps: Deps, source: Source, set: ReadSet): Promise<boolean> {
  const once = spendOf('set', source.id, set.jti, set.issuedAt + keptMs);
  if (await wasSpent(deps.db, once)) return false;
  const ours = await cameFromUs(deps, source, set);
  const heeded = !ours && set.known !== undefined && source.events.includes(set.known);
  const concerned = heeded ? await concernedBy(deps, source, set.subject) : [];
  const anybody = concerned.length > 0;
  const taking: Taking = { source, set, once, ours, anybody, inParts: concerned.length > atOnce };
  const outcomes: Outcome[] = [];
  let rest = concerned;
  while (rest.length > atOnce) {
    outcomes.push(...((await takePart(deps, taking, rest.slice(0, atOnce))) ?? []));
    rest = rest.slice(atOnce);
    await setImmediate(); // whoever waits for the database, or has sent something meanwhile, comes before the next part
  }
  return (await takePart(deps, taking, rest, outcomes)) !== undefined;
}

/**
 * Does a part in one transaction, planned anew if the registry changed meanwhile; the last part with the record of the whole.
 * @param before given with the last part: what came of those before it
 * @returns nothing if the SET was taken before
 */
async function takePart(
  deps: Deps,
  taking: Taking,
  part: readonly Concerned[],
  before?: readonly Outcome[],
): Promise<Outcome[] | undefined> {
  const { source, set, once } = taking;
  // those whom policy must not stop: it is tried again without them
  const kept = new Set<string>();
  for (let tries = 0; tries < mostTries; tries += 1) {
    const { version } = await asOf(deps.db);
    const plans = await planned(deps, { source, set, version }, part);
    const sealing = await sealingFor(deps, version, source.org);
    const record = before && (await recordOf(deps, taking, version));
    try {
      const done = await deps.db.transaction(async (tx): Promise<Outcome[] | 'again' | 'changed'> => {
        if ((await asOf(tx)).version !== version) return 'changed';
        if (record && (await spendAll(tx, [once]))) return 'again';
        const outcomes: Outcome[] = [];
        for (const plan of plans) outcomes.push(await doneTo(tx, deps, sealing, { taking, plan, kept }));
        if (before) await record?.(tx, [...before, ...outcomes]);
        return outcomes;
      });
      if (done !== 'changed') return done === 'again' ? undefined : done;
    } catch (error) {
      if (!(error instanceof LastOperatorHit)) throw error;
      kept.add(error.agent);
    }
  }
  throw new Error('the registry changed each time that a signal was to be applied');
}

class LastOperatorHit extends Error {
  readonly agent: string;
  constructor(agent: string) {
    super('the last operator stays');
    this.name = 'LastOperatorHit';
    this.agent = agent;
  }
}

/** Makes ready what writes down that the SET was taken, and what came of it. */
async function recordOf(
  deps: Deps,
  { source, set, ours, anybody }: Taking,
  version: number,
): Promise<(tx: Tx, outcomes: readonly Outcome[]) => Promise<void>> {
  const person = await personNamed(deps.db, source, set.subject);
  const sealing = await sealingFor(deps, version, person ?? source.org);
  const control = isControl(set);
  // whom it names by an address goes with that person, and who is nobody of ours isn't kept at all
  const named = control || person !== undefined || (anybody && !namesPeople(set.subject));
  return async (tx, outcomes) => {
    const effects = outcomes.filter(({ effect }) => effect === 'suspended' || effect === 'revoked');
    await noteHeard(tx, source.id, deps.clock.now());
    await appendEvent(tx, deps, sealing, {
      type: 'signal.received',
      outcome: 'allowed',
      org: source.org,
      target: source.id,
      reason: control ? 'about the stream itself' : ours ? cameBack : reasonOf(outcomes, effects.length),
      decided_on: {
        event: control || set.known !== undefined ? set.event : 'unknown',
        issuer: source.issuer,
        agents: outcomes.slice(0, mostTold),
        ...(outcomes.length > mostTold && { more: outcomes.length - mostTold }),
        policy: `${source.org}/${version}`,
        set: keptId(set.jti),
        ...(set.txn !== undefined && { txn: keptId(set.txn) }),
      },
      // whoever the other side means may be a person
      personal: named ? { details: { subject: set.subject, event: set.says } } : {},
    });
  };
}

const cameBack = 'it tells of what was told here: that was done already';

function reasonOf(outcomes: readonly Outcome[], effects: number): string {
  if (outcomes.length === 0) return 'it is about nobody here, or of a kind that is not listened to';
  return effects === 0 ? 'policy lets it do nothing' : 'policy lets it act';
}

async function doneTo(
  tx: Tx,
  deps: Deps,
  sealing: Sealing,
  { taking, plan, kept }: { taking: Taking; plan: Plan; kept: ReadonlySet<string> },
): Promise<Outcome> {
  const { source, set, once, inParts } = taking;
  const { one, effect, by, fault, spared } = plan;
  const { agent, concerns } = one;
  const recorded: Outcome = {
    agent: agent.id,
    concerns,
    effect: 'recorded',
    by,
    ...(fault !== undefined && { why: fault }),
  };
  if (effect === undefined) return recorded;
  if (kept.has(agent.id)) return { ...recorded, effect: 'kept', why: 'the last operator stays' };
  if (spared !== undefined) return { ...recorded, effect: 'kept', why: spared };
  const { kind, id, order } = orderOf(one, effect);
  const target = await revocable(kind).find(tx, id, source.org);
  if (!target || target.org !== source.org) return recorded;
  const outcome: Outcome = { ...recorded, effect: effect === 'suspend' ? 'suspended' : 'revoked' };
  const what = `${id} ${order}`;
  if (inParts && (await spendAll(tx, [spendOf('set', once.id, what, once.expiresAt)]))) return outcome;
  const happening = effectSpend(source, set, what);
  if (happening && (await spendAll(tx, [happening]))) return { ...recorded, why: cameBack };
  const again = !happening && (await spendAll(tx, [onwardSpend(source, what, deps.clock.now())])) !== undefined;
  const reason = `signal of ${source.name}: ${set.known}`;
  try {
    const { rev, events } = await revoke(
      tx,
      deps,
      { kind, target },
      { effect: order, reason, by: source.id, now: deps.clock.now() },
    );
    for (const event of events) {
      await appendEvent(tx, deps, sealing, {
        type: event.type,
        outcome: 'allowed',
        org: source.org,
        target: event.target,
        reason: 'by a signal that policy lets act',
        decided_on: {
          changed: {
            ...event.changed,
            policies: by,
            source: source.id,
            ...(happening && { txn: set.txn }),
            ...(again && { told: false }),
          },
        },
        personal: { ...(event.details && { details: event.details }) },
      });
    }
    return { ...outcome, ...(rev !== undefined && { rev }) };
  } catch (error) {
    if (error instanceof LastOperatorError) throw new LastOperatorHit(agent.id);
    throw error;
  }
}

/** Tokens are taken from no more than the signal is about; who is stopped is always the agent. */
function orderOf({ agent, part }: Concerned, effect: SignalEffect): { kind: RevocableKind; id: string; order: Effect } {
  if (effect === 'suspend') return { kind: 'agent', id: agent.id, order: 'suspend' };
  if (part === undefined) return { kind: 'agent', id: agent.id, order: 'tokens' };
  return { kind: part.kind, id: part.id, order: part.kind === 'token' ? 'end' : 'tokens' };
}
