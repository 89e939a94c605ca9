/** What policies answered, in words. */
import type { TokenContext } from '@bailiwick/protocol';
import type { ExplainedStatement } from '../policy/engine.ts';
import type { PolicyAnswer } from '../policy/request.ts';

/** A permit that limits what it permits. */
type Limiting = {
  policy: string;
  context?: TokenContext;
  lifetime_seconds?: number;
};

/** What policies limit a token to, and which of them. */
export interface LimitsSaid {
  context?: TokenContext;
  lifetime_seconds?: number;
  by?: Limiting[];
}

/** What observed policies would have decided, where that is something else. */
export interface Observed {
  decision: PolicyAnswer['decision'];
  by: string[];
  says: string;
}

/** What policies limit a token to, and which. */
export function limitsOf({ limits, determining }: PolicyAnswer): LimitsSaid {
  const shown = ({ context, lifetimeSeconds }: PolicyAnswer['limits']) => ({
    ...(context !== undefined && { context }),
    ...(lifetimeSeconds !== undefined && { lifetime_seconds: lifetimeSeconds }),
  });
  const by = determining.flatMap((each) => (each.limits ? [{ policy: each.policy, ...shown(each.limits) }] : []));
  return { ...shown(limits), ...(by.length > 0 && { by }) };
}

const wouldBe = { allow: 'allow it', deny: 'refuse it', step_up: 'not allow it yet' } as const;

/** What observed policies would make of it: told only where that is something else. */
export function observedOf(
  { observed }: PolicyAnswer,
  statements: readonly ExplainedStatement[],
): Observed | undefined {
  if (!observed) return undefined;
  const observing = new Set(statements.flatMap(({ policy, mode }) => (mode === 'observe' ? [policy] : [])));
  const by = observed.determining.flatMap(({ policy }) => (observing.has(policy) ? [policy] : []));
  const whose = by.length > 0 ? `${by.join(', ')} (observed)` : 'What is observed';
  return { decision: observed.decision, by, says: `${whose} would ${wouldBe[observed.decision]}.` };
}

/** What policies say, as a sentence. @param what completes "may …" */
export function saidOf({ decision, determining, errors }: PolicyAnswer, what: string): string {
  const [fault] = errors;
  const by = determining.map(({ policy }) => policy).join(', ');
  if (fault) return `It may not ${what}: ${fault.policy || 'a policy'} could not be evaluated (${fault.message}).`;
  if (decision === 'allow') return `It may ${what}: ${by} ${determining.length === 1 ? 'permits' : 'permit'} it.`;
  if (decision === 'step_up')
    return `It may not ${what} yet: ${by} ${determining.length === 1 ? 'wants' : 'want'} more.`;
  if (by === '') return `It may not ${what}: no policy permits it.`;
  const forbids = determining.every(({ effect }) => effect === 'forbid');
  if (!forbids) return `It may not ${what}: nothing is within the limits of all that permit it (${by}).`;
  return `It may not ${what}: ${by} ${determining.length === 1 ? 'forbids' : 'forbid'} it.`;
}
