/** What our API for agents refuses to somebody known is a decision: it is on disk before it is answered (design §8, 4). */
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import type { Caller } from './caller.ts';
import { ownerOf } from './own-api.ts';
import { Problem, type ProblemKind } from './problem.ts';
import { serviceResource } from './service.ts';

/** Of these nothing is written: a request that was not understood was not decided on, and a used up token or proof proves nobody. */
const undecided: readonly ProblemKind[] = ['bad-request', 'invalid-token', 'unavailable', 'internal'];

/** What somebody wants to do. */
interface Wanted {
  /** Of which type the event of a refusal is. */
  type: 'task.refused' | 'mandate.refused';
  operation: string;
  /** It changes nothing: of these only a missing scope says something about who asks. */
  reads?: boolean;
}

/** Does the work, and puts on record what it refuses. */
export async function recorded<Result>(
  deps: Deps,
  caller: Caller,
  wanted: Wanted,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Problem && isDecision(wanted, error)) await record(deps, caller, wanted, error);
    throw error;
  }
}

const isDecision = ({ reads = false }: Wanted, { kind }: Problem): boolean =>
  reads ? kind === 'insufficient-scope' : !undecided.includes(kind);

async function record(deps: Deps, caller: Caller, { type, operation }: Wanted, problem: Problem): Promise<void> {
  const { kind, message, errors } = problem;
  const owner = await ownerOf(deps, caller);
  const sealing = await sealingFor(deps, caller.asOf.version, owner);
  await deps.db.settle((tx) =>
    appendEvent(tx, deps, sealing, {
      type,
      outcome: 'refused',
      org: caller.org,
      agent: caller.agent,
      resource: serviceResource(deps.config),
      jti: caller.jti,
      trace: caller.trace,
      // other details may repeat what was sent, which the leaf would keep for ever: there the kind and the fields must do
      reason: kind === 'insufficient-scope' ? message : [kind, ...errors.map(({ field }) => field)].join(' '),
      decided_on: { operation, problem: kind, scope: caller.scopes },
      personal: { owner, address: caller.address },
    }),
  );
}
