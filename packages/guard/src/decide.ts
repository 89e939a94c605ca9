import type { Networks, Operation } from '@bailiwick/protocol';
import { clientAddress } from './address.ts';
import { checkBinding } from './binding.ts';
import type { Caller } from './caller.ts';
import { type CertificateSources, seesCertificates } from './certificate.ts';
import { checkContext } from './context.ts';
import { type Presented, presentedIn } from './credentials.ts';
import type { Introspector } from './introspection.ts';
import { Unavailable } from './json-client.ts';
import { metadataAnswer, resourceMetadata } from './metadata.ts';
import type { ProofCheck } from './proof.ts';
import type { Refreshed } from './refreshed.ts';
import { type Answer, answerTo, notChecked, Refusal, type RefusalCode } from './refusal.ts';
import type { Registration } from './registration.ts';
import { type GuardRequest, type Place, pathOf, placeOf } from './request.ts';
import type { Runtime } from './runtime.ts';
import type { TokenVerifier, VerifiedToken } from './tokens.ts';

/** The request may go on to its route. */
export interface Allowed {
  allowed: true;
  caller: Caller;
  /** To be added to the route's answer. */
  headers: Record<string, string>;
}

/** Either the request goes on, or the guard has the answer: a refusal, or the resource's public metadata. */
export type Decision = Allowed | Answer;

/** What the guard decided and why, for logs and metrics. Nothing in it is secret. */
export interface DecisionRecord {
  at: number;
  outcome: 'allowed' | 'refused';
  status: number;
  /** What kind of refusal it was. */
  code?: RefusalCode;
  /** Why exactly. Not for the caller, who is told less. */
  reason?: string;
  method: string;
  path: string;
  operation?: string;
  agent?: string;
  organization?: string;
  jti?: string;
  address?: string;
}

/** All that a decision rests on. */
export interface Core {
  runtime: Runtime;
  issuer: string;
  resource: { identifier: string; base: string; localPath: string; metadataUrl: string; metadataPath: string };
  algorithms: readonly string[];
  registration: Refreshed<Registration>;
  tokens: TokenVerifier;
  proof: ProofCheck;
  certificates: CertificateSources;
  introspect: Introspector | undefined;
  isTrustedProxy: Networks;
  onDecision: ((record: DecisionRecord) => void) | undefined;
}

/** What was found out by the time the decision fell; for the record of a refusal. */
interface Seen {
  presented?: Presented;
  token?: VerifiedToken;
  operation?: Operation;
  address?: string | undefined;
}

/**
 * Decides about one request. Never throws, whatever the request holds: any error means no.
 * Plain data in, plain data out; every adapter is a thin shell around this.
 */
export async function decide(core: Core, request: GuardRequest): Promise<Decision> {
  const seen: Seen = {};
  try {
    const place = placeOf(request.url, core.resource);
    if (place === undefined) {
      const detail = 'The path is written in a way that can be misread: send it normalised.';
      throw new Refusal('invalid_request', detail, { reason: 'ambiguous path' });
    }
    if (pathOf(request.url) === core.resource.metadataPath) return await publish(core, request);
    return await allow(core, request, place, seen);
  } catch (error) {
    try {
      return refuse(core, request, error, seen);
    } catch {
      return notChecked; // what was given to report, say, has thrown
    }
  }
}

async function allow(core: Core, request: GuardRequest, place: Place, seen: Seen): Promise<Allowed> {
  const now = core.runtime.now();
  const presented = presentedIn(request, place.query);
  seen.presented = presented;
  const registration = core.registration.peek() ?? (await core.registration.get());
  const { profile, closed } = registration;
  if (closed !== undefined) {
    const reason = `the resource is ${closed}`;
    throw new Refusal('unavailable', `This resource is ${closed}.`, { reason, retryAfterSeconds: 60 });
  }
  const { token: compact } = presented;
  const token = core.tokens.recall(compact, profile, now) ?? (await core.tokens.verify(compact, profile, now));
  seen.token = token;
  seen.address = clientAddress(request.remoteAddress, request.headers['x-forwarded-for'], core.isTrustedProxy);
  checkContext(token.claims.ctx, seen.address);
  checkBinding(core, request, place, presented, token, now);
  await checkStanding(core, compact, token, now);
  const operation = place.path === undefined ? undefined : registration.operationFor(request.method, place.path);
  if (operation === undefined) throw notListed();
  seen.operation = operation;
  checkScope(operation, token);
  const caller: Caller = { ...token.caller, operation: operation.name };
  if (core.onDecision !== undefined) record(core, request, seen, { outcome: 'allowed', status: 200 });
  return { allowed: true, caller, headers: freshNonce(core, presented, now) };
}

async function checkStanding(core: Core, compact: string, token: VerifiedToken, now: number): Promise<void> {
  if (core.introspect === undefined) return;
  const answer = core.introspect(compact, token, now);
  if (typeof answer === 'boolean' ? answer : await answer) return;
  const detail = 'The access token no longer stands: it was revoked, or what it rests on was.';
  throw new Refusal('invalid_token', detail, { reason: 'no longer active' });
}

function checkScope(operation: Operation, token: VerifiedToken): void {
  for (const scope of operation.scope) {
    if (token.scope.has(scope)) continue;
    const needed = operation.scope.join(' ');
    throw new Refusal('insufficient_scope', `The operation "${operation.name}" needs the scope: ${needed}`, {
      reason: `missing ${scope}`,
      scope: operation.scope,
    });
  }
}

function notListed(): Refusal {
  const detail = 'The resource does not list this method and path, and refuses what it does not list.';
  return new Refusal('operation_not_listed', detail, { reason: 'no such operation' });
}

/** A caller that still uses the previous nonce hears of the next one in time. */
function freshNonce(core: Core, presented: Presented, now: number): Record<string, string> {
  const { nonces } = core.proof;
  return nonces === undefined || presented.scheme !== 'DPoP' ? {} : { 'dpop-nonce': nonces.current(now) };
}

async function publish(core: Core, request: GuardRequest): Promise<Answer> {
  const registration = core.registration.peek() ?? (await core.registration.get().catch(() => undefined));
  const certificates = seesCertificates(core.certificates, request);
  return metadataAnswer(request.method, () =>
    resourceMetadata(core.resource.identifier, core.issuer, { registration, certificates }),
  );
}

function refuse(core: Core, request: GuardRequest, error: unknown, seen: Seen): Answer {
  const refusal = refusalFor(core, error);
  const { nonces } = core.proof;
  const answer = answerTo(refusal, {
    metadataUrl: core.resource.metadataUrl,
    algorithms: core.algorithms,
    bearer:
      core.registration.peek()?.profile.dangerouslyBearer === true || seesCertificates(core.certificates, request),
    scheme: seen.presented?.scheme,
    nonce: nonces?.current(core.runtime.now()),
  });
  if (core.onDecision !== undefined) {
    const { code, message: reason } = refusal;
    record(core, request, seen, { outcome: 'refused', status: answer.status, code, reason });
  }
  return answer;
}

function refusalFor(core: Core, error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof Unavailable) {
    core.runtime.report(error.message);
    return new Refusal('unavailable', 'The identity provider cannot be asked right now: try again in a moment.', {
      reason: error.message,
    });
  }
  core.runtime.report(`A request could not be checked: ${error instanceof Error ? error.stack : String(error)}`);
  return new Refusal('internal', 'Something went wrong while checking this request. It was not let through.');
}

function record(
  core: Core,
  request: GuardRequest,
  seen: Seen,
  decided: Pick<DecisionRecord, 'outcome' | 'status' | 'code' | 'reason'>,
): void {
  const { token, operation, address } = seen;
  try {
    core.onDecision?.({
      at: core.runtime.now(),
      ...decided,
      method: request.method,
      path: pathOf(request.url),
      ...(operation === undefined ? {} : { operation: operation.name }),
      ...(token === undefined
        ? {}
        : { agent: token.caller.agent, organization: token.caller.organization, jti: token.caller.token.jti }),
      ...(address === undefined ? {} : { address }),
    });
  } catch (error) {
    core.runtime.report(`onDecision threw: ${(error as Error).message}`);
  }
}
