/** What every request about a stream begins with: may this receiver, and is it theirs. And what is put on record of it. */
import { appendEvent, type Sealing, sealingFor } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import type { Stream } from '../ssf/stream.ts';
import { findStream } from '../ssf/stream-store.ts';
import type { Queries, Tx } from '../store/database.ts';
import { type Caller, insufficientScope, mayWrite } from '../web/caller.ts';
import { ownerOf } from '../web/own-api.ts';
import { badRequest, notFound, Problem, type ProblemKind } from '../web/problem.ts';
import { type ServiceScope, serviceResource } from '../web/service.ts';

/** @throws Problem 403 unless the token has one of these */
export function mustHaveOneOf(deps: Deps, caller: Caller, scopes: readonly [ServiceScope, ...ServiceScope[]]): void {
  if (scopes.some((scope) => caller.scopes.includes(scope))) return;
  const [first] = scopes;
  throw insufficientScope(serviceResource(deps.config), [first], `this needs ${first}, which the token does not have`);
}

/** @throws Problem 404 for what isn't there and for what is another receiver's. @see SSF 1.0 §8.1 */
export async function ownStream(q: Queries, { agent }: Caller, id: string): Promise<Stream> {
  const stream = isId('signal_stream', id) ? await findStream(q, id) : undefined;
  if (stream?.agent === agent) return stream;
  throw notFound('stream', id);
}

/** The JSON object that was sent. @throws Problem 400 */
export function objectIn(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw badRequest([{ field: 'body', message: 'must be a JSON object' }]);
}

/** @throws Problem 400 */
export function streamIdIn(from: Record<string, unknown>): string {
  const { stream_id: id } = from;
  if (typeof id === 'string' && id !== '') return id;
  throw badRequest([{ field: 'stream_id', message: 'is required and must be a string' }]);
}

/** What a receiver did with its stream, for the log. */
export interface StreamChange {
  target: string;
  /** `created`, `updated`, … and what matters of it, free of anything personal and of addresses, which may hold secrets. */
  changed: Readonly<Record<string, unknown>>;
}

/**
 * Does a write of a receiver: in one transaction with what is put on record of it. A token that was ended meanwhile changes nothing.
 * @param work answers what it changed, or nothing
 */
export async function changed<Result>(
  deps: Deps,
  caller: Caller,
  work: (tx: Tx) => Promise<{ result: Result; change?: StreamChange }>,
): Promise<Result> {
  const { owner, sealing } = await sealingOf(deps, caller);
  return deps.db.transaction(async (tx) => {
    await mayWrite(tx, serviceResource(deps.config), caller);
    const { result, change } = await work(tx);
    if (change) {
      await appendEvent(tx, deps, sealing, {
        type: 'signal.stream_changed',
        outcome: 'allowed',
        org: caller.org,
        agent: caller.agent,
        instance: caller.claims.instance,
        resource: serviceResource(deps.config),
        target: change.target,
        jti: caller.jti,
        trace: caller.trace,
        decided_on: { changed: change.changed, scope: caller.scopes },
        personal: { owner, address: caller.address },
      });
    }
    return result;
  });
}

/** Of these nothing is written: a request that was not understood was not decided on, and a used up token or proof proves nobody. */
const undecided: readonly ProblemKind[] = ['bad-request', 'invalid-token', 'unavailable', 'internal', 'too-many'];

/** Does the work, and puts on record what it refuses. @param reads nothing is changed: only a missing scope says something */
export async function recorded<Result>(
  deps: Deps,
  caller: Caller,
  { operation, reads = false }: { operation: string; reads?: boolean },
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Problem) {
      const decided = reads ? error.kind === 'insufficient-scope' : !undecided.includes(error.kind);
      if (decided) await record(deps, caller, operation, error);
    }
    throw error;
  }
}

async function record(deps: Deps, caller: Caller, operation: string, problem: Problem): Promise<void> {
  const { kind, message, errors } = problem;
  const { owner, sealing } = await sealingOf(deps, caller);
  await deps.db.settle((tx) =>
    appendEvent(tx, deps, sealing, {
      type: 'signal.stream_changed',
      outcome: 'refused',
      org: caller.org,
      agent: caller.agent,
      instance: caller.claims.instance,
      resource: serviceResource(deps.config),
      jti: caller.jti,
      trace: caller.trace,
      reason: kind === 'insufficient-scope' ? message : [kind, ...errors.map(({ field }) => field)].join(' '),
      decided_on: { operation, problem: kind, scope: caller.scopes },
      personal: { owner, address: caller.address },
    }),
  );
}

async function sealingOf(deps: Deps, caller: Caller): Promise<{ owner: string; sealing: Sealing }> {
  const owner = await ownerOf(deps, caller);
  return { owner, sealing: await sealingFor(deps, caller.asOf.version, owner) };
}
