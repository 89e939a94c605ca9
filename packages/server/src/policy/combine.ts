/** From what each statement comes to, to one answer. */
import { narrowed, ProtocolError, type Requirement, type TokenContext } from '@bailiwick/protocol';
import type { Statement } from './document.ts';
import type { Outcome } from './outcomes.ts';
import type { Determining, PolicyAnswer, PolicyDecision } from './request.ts';

/** A statement of a set, as far as it matters here. */
export interface Stated {
  statement: Pick<
    Statement,
    'name' | 'effect' | 'reason' | 'public' | 'requirements' | 'context' | 'lifetimeSeconds' | 'told'
  >;
  order: number;
  mode: 'enforce' | 'observe';
}

type Limits = PolicyAnswer['limits'];
type Combined = PolicyDecision & { limits: Limits; errors: PolicyAnswer['errors'] };

const noLimits: Limits = { context: undefined, lifetimeSeconds: undefined };

/**
 * Combines statements, the first that is true of these: one could not be evaluated: deny; one forbids, and nothing would lift it: deny;
 * some forbid until something is there: step up, with all of it; one permits: allow, within the limits of all that permit, unless nothing
 * is within all of them; none does: deny.
 */
export function combine(stated: readonly Stated[], outcomes: readonly Outcome[], observed = false): Combined {
  let errors: (Stated & { message: string })[] | undefined;
  let forbidding: Stated[] | undefined;
  let permitting: Stated[] | undefined;
  for (let i = 0; i < stated.length; i += 1) {
    const outcome = outcomes[i];
    const one = stated[i] as Stated;
    if (outcome === false || (one.mode === 'observe' && !observed)) continue;
    if (outcome !== true) {
      errors ??= [];
      errors.push({ ...one, message: outcome?.error ?? 'it was not asked' });
    } else if (one.statement.effect === 'forbid') {
      forbidding ??= [];
      forbidding.push(one);
    } else {
      permitting ??= [];
      permitting.push(one);
    }
  }
  if (errors !== undefined) {
    const told = errors.sort(inOrder).map(({ statement, message }) => ({ policy: statement.name, message }));
    return denied([...errors, ...(forbidding ?? [])], told);
  }
  if (forbidding !== undefined) {
    const final = forbidding.filter(({ statement }) => statement.requirements.length === 0);
    if (final.length > 0) return denied(final);
    const determining = toldOf(forbidding);
    const requirements = unionOf(forbidding.flatMap(({ statement }) => statement.requirements));
    return { decision: 'step_up', determining, requirements, limits: noLimits, errors: [] };
  }
  if (permitting === undefined) return denied([]);
  const limits = limitsOf(permitting);
  if (limits === undefined) return denied(permitting);
  return { decision: 'allow', determining: toldOf(permitting), requirements: [], limits, errors: [] };
}

function denied(stated: Stated[], errors: PolicyAnswer['errors'] = []): Combined {
  return { decision: 'deny', determining: toldOf(stated), requirements: [], limits: noLimits, errors };
}

const inOrder = (a: Stated, b: Stated): number => a.order - b.order;

/** In the order in which they stand in the set. */
const toldOf = (stated: Stated[]): Determining[] => stated.sort(inOrder).map(({ statement }) => statement.told);

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
function limitsOf(permitting: readonly Stated[]): Limits | undefined {
  if (permitting.every(({ statement }) => statement.context === undefined && statement.lifetimeSeconds === undefined)) {
    return noLimits;
  }
  let context: TokenContext | undefined;
  let lifetimeSeconds: number | undefined;
  try {
    for (const { statement } of permitting) {
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
