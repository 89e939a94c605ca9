/** From what each statement comes to, to one answer. */
import { narrowed, ProtocolError, type Requirement, type TokenContext } from '@bailiwick/protocol';
import type { Statement } from './document.ts';
import type { Outcome } from './outcomes.ts';
import type { Determining, PolicyAnswer, PolicyDecision } from './request.ts';

/** A statement that applies, and what it came to. */
export interface Judged {
  statement: Pick<Statement, 'name' | 'effect' | 'reason' | 'public' | 'requirements' | 'context' | 'lifetimeSeconds'>;
  outcome: Outcome;
}

type Limits = PolicyAnswer['limits'];
type Combined = PolicyDecision & { limits: Limits; errors: PolicyAnswer['errors'] };

const noLimits: Limits = { context: undefined, lifetimeSeconds: undefined };

/**
 * Combines statements, the first that is true of these: one could not be evaluated: deny; one forbids, and nothing would lift it: deny;
 * some forbid until something is there: step up, with all of it; one permits: allow, within the limits of all that permit, unless nothing
 * is within all of them; none does: deny.
 */
export function combine(judged: readonly Judged[]): Combined {
  const errors: { policy: string; message: string }[] = [];
  const forbidding: Judged['statement'][] = [];
  const permitting: Judged['statement'][] = [];
  for (const { statement, outcome } of judged) {
    if (typeof outcome === 'object') errors.push({ policy: statement.name, message: outcome.error });
    else if (outcome) (statement.effect === 'forbid' ? forbidding : permitting).push(statement);
  }
  if (errors.length > 0) {
    const names = new Set(errors.map(({ policy }) => policy));
    const failed = judged.flatMap(({ statement }) => (names.has(statement.name) ? [statement] : []));
    return denied([...failed, ...forbidding], errors);
  }
  const final = forbidding.filter(({ requirements }) => requirements.length === 0);
  if (final.length > 0) return denied(final);
  if (forbidding.length > 0) {
    const requirements = unionOf(forbidding.flatMap((statement) => statement.requirements));
    return { decision: 'step_up', determining: forbidding.map(toldOf), requirements, limits: noLimits, errors };
  }
  if (permitting.length === 0) return denied([]);
  const limits = limitsOf(permitting);
  if (limits === undefined) return denied(permitting);
  return { decision: 'allow', determining: permitting.map(toldOf), requirements: [], limits, errors };
}

function denied(statements: readonly Judged['statement'][], errors: PolicyAnswer['errors'] = []): Combined {
  return { decision: 'deny', determining: statements.map(toldOf), requirements: [], limits: noLimits, errors };
}

const toldOf = ({ name, effect, reason, public: told }: Judged['statement']): Determining => ({
  policy: name,
  effect,
  reason,
  public: told,
});

/** Each once; of proofs and bindings what satisfies all who ask for them. */
function unionOf(requirements: readonly Requirement[]): Requirement[] {
  const union = new Map<string, Requirement>();
  for (const requirement of requirements) {
    const key = requirement.type === 'binding' ? `binding ${requirement.binding}` : requirement.type;
    const known = union.get(key);
    if (known?.type === 'fresh_proof' && requirement.type === 'fresh_proof' && known.max_age <= requirement.max_age)
      continue;
    union.set(key, requirement);
  }
  return [...union.values()];
}

/** Undefined where nothing is within all of them. */
function limitsOf(statements: readonly Judged['statement'][]): Limits | undefined {
  let context: TokenContext | undefined;
  let lifetimeSeconds: number | undefined;
  try {
    for (const statement of statements) {
      context = narrowed(context, statement.context);
      if (statement.lifetimeSeconds !== undefined) {
        lifetimeSeconds = Math.min(statement.lifetimeSeconds, lifetimeSeconds ?? statement.lifetimeSeconds);
      }
    }
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
  return { context, lifetimeSeconds };
}

/** Whether two decisions are the same to whoever asked. */
export function isSameDecision(a: PolicyDecision, b: PolicyDecision): boolean {
  return a.decision === b.decision;
}
