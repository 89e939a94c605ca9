import type { JsonObject, Requirement } from '@bailiwick/protocol';
import { type Asked, laterThan } from './asked.ts';
import { BailiwickError } from './errors.ts';
import { readObject } from './http.ts';
import type { Identity } from './identity.ts';

/** Policy says *not yet*: what it wants first, as far as the agent couldn't do it by itself. */
export class StepUpRequired extends BailiwickError {
  readonly requirements: readonly Requirement[];

  constructor(message: string, requirements: readonly Requirement[], more: { status?: number } = {}) {
    super('step_up_required', message, { ...more, hint: requirements.map(sentenceOf).join('; ') || undefined });
    this.name = 'StepUpRequired';
    this.requirements = Object.freeze([...requirements]);
  }
}

/** What to do about a requirement. */
function sentenceOf(requirement: Requirement): string {
  switch (requirement.type) {
    case 'approval':
      return 'a human has to approve this very request';
    case 'fresh_proof':
      return `prove anew who asks: the proof may be ${requirement.max_age} seconds old`;
    case 'narrower':
      return 'ask for less: fewer scopes, less sensitive operations, details in place of scopes (option narrower)';
    case 'binding':
      return requirement.binding === 'mtls'
        ? 'have tokens bound to a client certificate (option binding)'
        : 'have tokens bound to a key (option binding: dpop or both)';
    case 'task':
      return 'work at a task that an orchestrator opened (agent.task)';
  }
}

/** The requirements in a refusal. `all`: none of them was left out because it isn't known here. */
export function requirementsIn(json: JsonObject | undefined): { requirements: Requirement[]; all: boolean } {
  const told = Array.isArray(json?.requirements) ? json.requirements.slice(0, 20) : [];
  const requirements = told.map(readRequirement).filter((each) => each !== undefined);
  return { requirements, all: requirements.length === told.length };
}

function readRequirement(told: unknown): Requirement | undefined {
  const { type, max_age, binding } = (typeof told === 'object' && told !== null ? told : {}) as Record<string, unknown>;
  if (type === 'approval' || type === 'narrower' || type === 'task') return { type };
  if (type === 'fresh_proof' && Number.isSafeInteger(max_age)) return { type, max_age: max_age as number };
  if (type === 'binding' && (binding === 'dpop' || binding === 'mtls')) return { type, binding };
  return undefined;
}

const mostPatienceMs = 5000;

/**
 * What an API's refusal wants first (RFC 9470, and the `requirements` of our guards): for an answer of `agent.fetch` that is a 401 or
 * 403. Undefined for any other, and for one whose body is larger than 64 KiB or takes longer than 5 s. The body of the answer can still be read.
 */
export async function requirementsOf(response: Response): Promise<readonly Requirement[] | undefined> {
  if (response.status !== 401 && response.status !== 403) return undefined;
  try {
    const { requirements } = requirementsIn(await readObject(response.clone(), mostPatienceMs));
    return requirements.length > 0 ? requirements : undefined;
  } catch {
    return undefined; // no JSON: whoever answered says nothing of it
  }
}

export interface Identities {
  identity(): Promise<Identity>;
  /** One whose tokens are bound to a certificate too, if there is one. */
  certified?: (() => Promise<Identity | undefined>) | undefined;
}

/**
 * Asks for a token and does what policy wants first, as far as it can be done here: proves anew, connects with a certificate, asks
 * for less if that was allowed. Each of it once, so that it comes to an end whatever the issuer says.
 * @param request asks once
 * @throws StepUpRequired for the rest, and whatever `request` throws
 */
export async function steppedUp<Token>(
  identities: Identities,
  asked: Asked,
  request: (asked: Asked, identity: Identity) => Promise<Token>,
): Promise<Token> {
  const smaller = [...(asked.narrower ?? [])];
  let now = { asked, identity: await identities.identity(), provenAnew: false };
  for (;;) {
    try {
      return await request(now.asked, now.identity);
    } catch (error) {
      const next = error instanceof StepUpRequired ? await remedied(error, now) : undefined;
      if (next === undefined) throw error;
      now = next;
    }
  }

  /** The next request, if it can meet every requirement; undefined if one is for the caller. */
  async function remedied({ requirements }: StepUpRequired, before: typeof now): Promise<typeof now | undefined> {
    let next = before;
    if (requirements.length === 0) return undefined;
    for (const requirement of requirements) {
      if (requirement.type === 'fresh_proof' && !next.provenAnew) next = { ...next, provenAnew: true };
      else if (requirement.type === 'binding' && requirement.binding === 'mtls' && !before.identity.mutualTls) {
        const identity = await identities.certified?.();
        if (identity === undefined) return undefined;
        next = { ...next, identity };
      } else if (requirement.type === 'narrower' && smaller.length > 0) {
        next = { ...next, asked: laterThan(asked, smaller.shift() as Asked) };
      } else return undefined;
    }
    return next;
  }
}
