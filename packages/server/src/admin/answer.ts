/**
 * How every request to the admin API is answered: known, allowed, parsed, then read; or written, in one transaction
 * with its idempotency row and its audit event.
 */
import { appendEvent, sealingFor, sealingWithin } from '../audit/audit.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { touchRegistry } from '../liveness/liveness.ts';
import type { Tx } from '../store/database.ts';
import { type Caller, insufficientScope, mayWrite } from '../web/caller.ts';
import {
  type Answer,
  earlierAnswer,
  type IdempotentRequest,
  idempotentRequest,
  rememberAnswer,
} from '../web/idempotency.ts';
import { ownerOf } from '../web/own-api.ts';
import { Problem, type ProblemKind } from '../web/problem.ts';
import { type Input, inputOf } from './input.ts';
import { selectedOrganization } from './reach.ts';
import type { Call, ChangeEvent, ReadRoute, Route, WriteRoute } from './route.ts';
import { adminResource } from './scopes.ts';
import { entityTag } from './shapes.ts';

/** What of a request routes may look at. */
export interface AdminRequest {
  method: string;
  /** Path and query, as they were sent. */
  url: string;
  params: unknown;
  query: unknown;
  body: unknown;
  idempotencyKey: string | string[] | undefined;
  ifMatch: string | undefined;
  lastEventId?: string | undefined;
}

/** What is sent back: a body, or pieces that follow each other. */
export interface AdminAnswer extends Answer {
  stream?: AsyncGenerator<string, void>;
}

/**
 * @throws Problem for everything that the caller can do something about. Refusals of a known caller are in the log
 *   before they are thrown.
 */
export async function answer(deps: Deps, route: Route, caller: Caller, request: AdminRequest): Promise<AdminAnswer> {
  try {
    mayCall(deps, route, caller);
    const input = inputOf(route, request);
    const { organization } = input.query;
    const call: Call = {
      deps,
      q: deps.db,
      caller,
      org: await selectedOrganization(deps.db, caller, organization),
      orgNamed: organization !== undefined,
      now: deps.clock.now(),
      ifMatch: request.ifMatch,
      lastEventId: request.lastEventId,
    };
    return route.kind === 'read'
      ? await readAnswer(route, call, input)
      : await writeAnswer(route, call, input, request);
  } catch (error) {
    if (error instanceof Problem && isDecision(route, error)) await recordRefusal(deps, route, caller, request, error);
    throw error;
  }
}

/**
 * Whether a refusal says something about who asked. Of a read that is missing power alone; of a write everything that
 * was looked up: whoever tries ids, names and states leaves a trace. A request that was not understood was not decided
 * on, and a token or proof that is used up proves nobody.
 */
function isDecision(route: Route, { kind }: Problem): boolean {
  if (route.kind === 'read') return kind === 'insufficient-scope';
  return !(['bad-request', 'invalid-token', 'unavailable', 'internal'] as ProblemKind[]).includes(kind);
}

/** @see RFC 6750 §3.1 */
function mayCall(deps: Deps, route: Route, caller: Caller): void {
  const missing = route.scopes.filter((scope) => !caller.scopes.includes(scope));
  if (missing.length === 0) return;
  if (route.orScope !== undefined && caller.scopes.includes(route.orScope)) return;
  const resource = adminResource(deps.config);
  throw insufficientScope(resource, route.scopes, `this needs ${missing.join(' ')}, which the token does not have`);
}

async function readAnswer(route: ReadRoute, call: Call, input: Input): Promise<AdminAnswer> {
  const body = await route.handler(call, input);
  if (route.stream) return { status: 200, headers: {}, body: undefined, stream: body as AsyncGenerator<string, void> };
  const one = route.path.endsWith('}') || route.path.endsWith('/self');
  return { status: 200, headers: one ? { etag: entityTag(body) } : {}, body: JSON.stringify(body) };
}

async function writeAnswer(route: WriteRoute, call: Call, input: Input, request: AdminRequest): Promise<Answer> {
  const { deps, caller, now } = call;
  const { method, url, idempotencyKey } = request;
  const once = idempotentRequest(idempotencyKey, caller.agent, { method, url, body: request.body });
  const owner = await ownerOf(deps, caller);
  const sealing = await sealingFor(deps, caller.asOf.version, owner);
  const prepared = await route.prepare?.(call, input);
  const given = await deps.db.transaction(async (tx) => {
    await mayWrite(tx, adminResource(deps.config), caller);
    const earlier = once && (await earlierAnswer(tx, once, now));
    if (earlier) return { ...earlier, headers: { ...earlier.headers, 'idempotent-replayed': 'true' } };
    const { body, event, secret } = await route.handler({ ...call, tx, q: tx }, input, prepared);
    // words about a person, and about what came with it, go with that person
    const concerned = eventsOf(event).find(({ target, details }) => details && isId('person', target))?.target;
    for (const each of eventsOf(event)) {
      if (!each.unremembered) await touchRegistry(tx);
      const told = changeEvent(deps, caller, owner, each);
      const person = each.person ?? (each.details && concerned);
      if (person === undefined) await appendEvent(tx, deps, sealing, told);
      else {
        const theirs = await sealingWithin(tx, deps, person);
        // from where the caller came would not go with the caller there
        await appendEvent(tx, deps, theirs, { ...told, personal: { ...told.personal, address: undefined } });
      }
    }
    if (secret === undefined) return remembered(tx, once, shownAnswer(deps, route, body));
    await remembered(tx, once, shownAnswer(deps, route, { ...(body as object), secret_withheld: secretWithheld }));
    return shownAnswer(deps, route, { ...(body as object), secret });
  });
  if (!route.finish || given.body === undefined) return given;
  return { ...given, body: JSON.stringify(await route.finish(call, JSON.parse(given.body), input)) };
}

const eventsOf = (event: ChangeEvent | readonly ChangeEvent[] | undefined): readonly ChangeEvent[] =>
  event === undefined ? [] : Array.isArray(event) ? event : [event as ChangeEvent];

const secretWithheld =
  'it was in the first answer to this request and is kept nowhere: if it was lost, remove this and make another';

function shownAnswer(deps: Deps, route: WriteRoute, body: unknown): Answer {
  if (route.status === 204 || body === undefined) return { status: 204, headers: {}, body: undefined };
  const headers: Record<string, string> = {};
  const { id } = body as { id?: string };
  if (route.status === 201 && id !== undefined)
    headers.location = `${adminResource(deps.config)}/v1/${route.path.split('/')[1]}/${id}`;
  if (route.method === 'PATCH') headers.etag = entityTag(body);
  return { status: route.status, headers, body: JSON.stringify(body) };
}

async function remembered(tx: Tx, once: IdempotentRequest | undefined, given: Answer): Promise<Answer> {
  if (once) await rememberAnswer(tx, once, given);
  return given;
}

function changeEvent(deps: Deps, caller: Caller, owner: string, event: ChangeEvent) {
  const { type, org, target, changed, details, person } = event;
  return {
    type,
    outcome: 'allowed' as const,
    org,
    agent: caller.agent,
    resource: adminResource(deps.config),
    target,
    jti: caller.jti,
    trace: caller.trace,
    decided_on: { scope: caller.scopes, ...(changed && { changed }) },
    // whose log it is knows the agent by its id; who answers for it, and from where, is its own organization's to know
    personal: {
      ...(caller.org === org && { owner, address: caller.address }),
      ...(details && Object.keys(details).length > 0 && { details }),
      ...(person !== undefined && { person }),
    },
  };
}

/** A refusal is a decision about somebody known: it is on disk before it is answered (design §8, 4). */
async function recordRefusal(
  deps: Deps,
  route: Route,
  caller: Caller,
  request: AdminRequest,
  problem: Problem,
): Promise<void> {
  const owner = await ownerOf(deps, caller);
  const sealing = await sealingFor(deps, caller.asOf.version, owner);
  await deps.db.settle((tx) =>
    appendEvent(tx, deps, sealing, {
      type: 'admin.refused',
      outcome: 'refused',
      org: caller.org,
      agent: caller.agent,
      resource: adminResource(deps.config),
      target: targetOf(request, problem),
      jti: caller.jti,
      trace: caller.trace,
      reason: reasonOf(problem),
      decided_on: { scope: caller.scopes, operation: route.id, problem: problem.kind },
      personal: { owner, address: caller.address },
    }),
  );
}

/** What the path named, if it was found within the caller's reach: what is elsewhere stands in no log of theirs. */
function targetOf({ params }: AdminRequest, { kind }: Problem): string | undefined {
  if (!(['conflict', 'invalid', 'precondition-failed'] as ProblemKind[]).includes(kind)) return undefined;
  const { id } = params as { id?: unknown };
  return typeof id === 'string' && /^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$/.test(id) ? id : undefined;
}

/** Other details may repeat what was sent, which the leaf would keep for ever: there the kind and the fields must do. */
function reasonOf({ kind, message, errors }: Problem): string {
  if (kind === 'insufficient-scope') return message;
  return [kind, ...new Set(errors.map(({ field }) => field))].join(' ');
}
