/** What policy lets a signal do to whom it is about: it is asked for the strongest effect first. */
import { findAgent } from '../agents/store.ts';
import { agentPrincipal, faultOf } from '../decide/policy.ts';
import type { Deps } from '../deps.ts';
import { pauses } from '../lib/pauses.ts';
import { loadPolicyEngine } from '../policy/engine.ts';
import { policySetOf } from '../policy/policies.ts';
import { type SignalContext, type SignalRequest, signalClaims } from '../policy/request.ts';
import { signalAction } from '../policy/schema.ts';
import { adminScopesIn } from '../resources/power.ts';
import type { HeldRole } from '../resources/role.ts';
import { rolesOf } from '../resources/role-store.ts';
import type { Source } from '../ssf/source.ts';
import type { ReadSet } from './read-set.ts';
import type { Concerned } from './whom.ts';

/** What may be done, the strongest first. */
const wished = ['suspend', 'revoke'] as const;
export type SignalEffect = (typeof wished)[number];

export interface Plan {
  one: Concerned;
  /** Undefined: it is written down, and nothing else. */
  effect: SignalEffect | undefined;
  /** Statements that decided. */
  by: readonly string[];
  fault: string | undefined;
  /** Why nothing is done though policy lets it. */
  spared: string | undefined;
}

/** What whoever registers a source holds, and may therefore lose by what it says. */
const registrarScopes: readonly string[] = ['signals:read', 'signals:write', 'revocations:read', 'revocations:write'];
const sparedForPower = 'it holds more of the admin API than registering a source takes, and no policy names it';

/** Asks policy about each of them, as they are as of `version`. Who is gone by then is left out. */
export async function planned(
  deps: Deps,
  { source, set, version }: { source: Source; set: ReadSet; version: number },
  concerned: readonly Concerned[],
): Promise<Plan[]> {
  if (concerned.length === 0) return [];
  const policies = await policySetOf(deps, version, source.org);
  const { evaluate } = await loadPolicyEngine();
  const plans: Plan[] = [];
  const pause = pauses();
  for (const { agent: found, ...rest } of concerned) {
    await pause();
    const agent = await findAgent(deps.db, found.id);
    if (!agent) continue;
    const one: Concerned = { agent, ...rest };
    const held = await rolesOf(deps.db, agent.id);
    const plan: Plan = { one, effect: undefined, by: [], fault: undefined, spared: undefined };
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
