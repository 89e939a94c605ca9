/**
 * What a signal does here: for each agent that it is about, policy is asked for the strongest effect first, and what it allows is done by the
 * road of every revocation. One event says what came of it. @see CAEP 1.0
 */
import { appendEvent, type Sealing, sealingFor } from '../audit/audit.ts';
import type { Spend } from '../decide/plan.ts';
import { agentPrincipal, faultOf } from '../decide/policy.ts';
import type { Deps } from '../deps.ts';
import { pauses } from '../lib/pauses.ts';
import { asOf } from '../liveness/liveness.ts';
import { loadPolicyEngine } from '../policy/engine.ts';
import { policySetOf } from '../policy/policies.ts';
import { type SignalContext, type SignalRequest, signalClaims } from '../policy/request.ts';
import { signalAction } from '../policy/schema.ts';
import { adminScopesIn } from '../resources/power.ts';
import type { HeldRole } from '../resources/role.ts';
import { rolesOf } from '../resources/role-store.ts';
import { LastOperatorError } from '../revocations/last-operator.ts';
import type { Effect } from '../revocations/revocable.ts';
import { revoke } from '../revocations/revoke.ts';
import { type RevocableKind, revocable } from '../revocations/subjects.ts';
import type { Source } from '../ssf/source.ts';
import { noteHeard } from '../ssf/source-store.ts';
import type { Tx } from '../store/database.ts';
import { spendAll, spendOf } from '../tokens/spend.ts';
import { cameFromUs, effectSpend, keptId } from './origin.ts';
import { isControl, oldestMs, type ReadSet } from './read-set.ts';
import { type Concerned, concernedBy, namesPeople, personNamed } from './whom.ts';

/** What may be done, the strongest first. */
const wished = ['suspend', 'revoke'] as const;

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

interface Plan {
  one: Concerned;
  effect: (typeof wished)[number] | undefined;
  by: readonly string[];
  fault: string | undefined;
  /** Why nothing is done though policy lets it. */
  spared?: string;
}

/** What whoever registers a source holds, and may therefore lose by what it says. */
const registrarScopes: readonly string[] = ['signals:read', 'signals:write', 'revocations:read', 'revocations:write'];
const sparedForPower = 'it holds more of the admin API than registering a source takes, and no policy names it';

const mostTries = 5;
/** Outcomes that an event tells one by one. */
const mostTold = 100;

/**
 * Takes a SET that was verified: once, however often it comes. When this has resolved it is on disk, with all that it does.
 * @returns false if it was taken before
 */
export async function takeSignal(deps: Deps, source: Source, set: ReadSet): Promise<boolean> {
  const spend = spendOf('set', source.id, set.jti, set.issuedAt + oldestMs + 120_000);
  // those whom policy must not stop: it is tried again without them
  const kept = new Set<string>();
  for (let tries = 0; tries < mostTries; tries += 1) {
    const { version } = await asOf(deps.db);
    const ours = await cameFromUs(deps.db, deps, source, set);
    const plans = isControl(set) || ours ? [] : await planned(deps, source, set, version);
    const seal = (subject: string) => sealingFor(deps, version, subject);
    const person = await personNamed(deps.db, source, set.subject);
    const sealings = { org: await seal(source.org), subject: await seal(person ?? source.org) };
    // whom it names by an address goes with that person, and who is nobody of ours isn't kept at all
    const named = person !== undefined || (plans.length > 0 && !namesPeople(set.subject));
    const about = { source, set, spend, plans, version, kept, ours, named: named || isControl(set) };
    try {
      const done = await deps.db.transaction((tx) => applied(tx, deps, sealings, about));
      if (done !== 'changed') return done === 'taken';
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

async function planned(deps: Deps, source: Source, set: ReadSet, version: number): Promise<Plan[]> {
  if (set.known === undefined || !source.events.includes(set.known)) return [];
  const policies = await policySetOf(deps, version, source.org);
  const { evaluate } = await loadPolicyEngine();
  const plans: Plan[] = [];
  const pause = pauses();
  for (const one of await concernedBy(deps, source, set.subject)) {
    await pause(); // one person may answer for many
    const plan: Plan = { one, effect: undefined, by: [], fault: undefined };
    const held = await rolesOf(deps.db, one.agent.id);
    for (const effect of wished) {
      const answer = evaluate(policies, requestOf(deps, source, set, { one, held, effect }));
      if (answer.decision !== 'allow') {
        plan.fault ??= faultOf(answer);
        continue;
      }
      plan.effect = effect;
      plan.by = answer.determining.map(({ policy }) => policy);
      const named = answer.determining.some(({ names }) => names);
      if (!named && (await isMighty(deps, held))) plan.spared = sparedForPower;
      break;
    }
    plans.push(plan);
  }
  return plans;
}

/** Whether somebody administers more than whoever could register a source: what is theirs alone (`:own`) doesn't count. */
async function isMighty({ db }: Deps, held: readonly HeldRole[]): Promise<boolean> {
  const scopes = await adminScopesIn(
    db,
    held.flatMap(({ permissions }) => permissions),
  );
  return scopes.some(
    (scope) => !scope.endsWith(':own') && scope !== 'access:evaluate' && !registrarScopes.includes(scope),
  );
}

function requestOf(
  { clock }: Deps,
  source: Source,
  set: ReadSet,
  { one, held, effect }: { one: Concerned; held: readonly HeldRole[]; effect: SignalContext['effect'] },
): SignalRequest {
  const { agent, concerns } = one;
  const claims: Record<string, string> = {};
  for (const name of signalClaims) {
    const value = set.says[name];
    if (typeof value === 'string' && value.length <= 256) claims[name] = value;
  }
  return {
    principal: { type: 'Source', id: source.id, name: source.name, issuer: source.issuer },
    action: signalAction,
    resource: agentPrincipal({ agent, instance: undefined, attested: {} }, held),
    context: { at: clock.now(), timeZone: agent.orgTimeZone, event: set.known as string, effect, concerns, claims },
  };
}

interface About {
  source: Source;
  set: ReadSet;
  spend: Spend;
  plans: readonly Plan[];
  version: number;
  kept: ReadonlySet<string>;
  /** It tells of what we told. */
  ours: boolean;
  /** Whether what it says of somebody is kept. */
  named: boolean;
}

async function applied(
  tx: Tx,
  deps: Deps,
  sealings: { org: Sealing; subject: Sealing },
  { source, set, spend, plans, version, kept, ours, named }: About,
): Promise<'taken' | 'again' | 'changed'> {
  if ((await asOf(tx)).version !== version) return 'changed';
  if (await spendAll(tx, [spend])) return 'again';
  const outcomes: Outcome[] = [];
  for (const plan of plans) outcomes.push(await done(tx, deps, sealings.org, { source, set, plan, kept }));
  await noteHeard(tx, source.id, deps.clock.now());
  const effects = outcomes.filter(({ effect }) => effect === 'suspended' || effect === 'revoked');
  await appendEvent(tx, deps, sealings.subject, {
    type: 'signal.received',
    outcome: 'allowed',
    org: source.org,
    target: source.id,
    reason: isControl(set) ? 'about the stream itself' : ours ? cameBack : reasonOf(outcomes, effects.length),
    decided_on: {
      event: isControl(set) || set.known !== undefined ? set.event : 'unknown',
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
  return 'taken';
}

const cameBack = 'it tells of what was told here: that was done already';

function reasonOf(outcomes: readonly Outcome[], effects: number): string {
  if (outcomes.length === 0) return 'it is about nobody here, or of a kind that is not listened to';
  return effects === 0 ? 'policy lets it do nothing' : 'policy lets it act';
}

async function done(
  tx: Tx,
  deps: Deps,
  sealing: Sealing,
  { source, set, plan, kept }: Pick<About, 'source' | 'set' | 'kept'> & { plan: Plan },
): Promise<Outcome> {
  const { one, effect, by, fault, spared } = plan;
  const { agent, concerns } = one;
  const outcome: Outcome = {
    agent: agent.id,
    concerns,
    effect: 'recorded',
    by,
    ...(fault !== undefined && { why: fault }),
  };
  if (effect === undefined) return outcome;
  if (kept.has(agent.id)) return { ...outcome, effect: 'kept', why: 'the last operator stays' };
  if (spared !== undefined) return { ...outcome, effect: 'kept', why: spared };
  const { kind, id, order } = orderOf(one, effect);
  const target = await revocable(kind).find(tx, id, source.org);
  if (!target || target.org !== source.org) return outcome;
  const once = effectSpend(source, set, `${id} ${order}`);
  if (once && (await spendAll(tx, [once]))) return { ...outcome, why: cameBack };
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
          changed: { ...event.changed, policies: by, source: source.id, ...(once && { txn: set.txn }) },
        },
        personal: { ...(event.details && { details: event.details }) },
      });
    }
    return { ...outcome, effect: effect === 'suspend' ? 'suspended' : 'revoked', ...(rev !== undefined && { rev }) };
  } catch (error) {
    if (error instanceof LastOperatorError) throw new LastOperatorHit(agent.id);
    throw error;
  }
}

/** Tokens are taken from no more than the signal is about; who is stopped is always the agent. */
function orderOf(
  { agent, part }: Concerned,
  effect: (typeof wished)[number],
): { kind: RevocableKind; id: string; order: Effect } {
  if (effect === 'suspend') return { kind: 'agent', id: agent.id, order: 'suspend' };
  if (part === undefined) return { kind: 'agent', id: agent.id, order: 'tokens' };
  return { kind: part.kind, id: part.id, order: part.kind === 'token' ? 'end' : 'tokens' };
}
