import { type Operation, parametersOf } from '@bailiwick/protocol';
import { type Asked, allow, type ContinuousCheck, notListed } from './allow.ts';
import type { Caller } from './caller.ts';
import { type CertificateSources, seesCertificates } from './certificate.ts';
import type { PresentedScheme } from './credentials.ts';
import { type Demands, type DemandsHeld, demandsFrom, mustMeet } from './demands.ts';
import type { FeedStanding } from './feed/standing.ts';
import type { Introspector } from './introspection.ts';
import { Unavailable } from './json-client.ts';
import { metadataAnswer, resourceMetadata } from './metadata.ts';
import type { GuardMode } from './options.ts';
import type { Places } from './places.ts';
import type { ProofCheck } from './proof.ts';
import type { Refreshed } from './refreshed.ts';
import { type Answer, answerTo, notChecked, Refusal, type RefusalCode } from './refusal.ts';
import type { Registration } from './registration.ts';
import type { Reporter } from './reports/reporter.ts';
import { type GuardRequest, type Place, pathOf, placeOf } from './request.ts';
import type { Runtime } from './runtime.ts';
import type { TokenVerifier, VerifiedToken } from './tokens.ts';
import type { TransactionsTaken } from './transaction.ts';
import { mustStillStand, type Verified, verify, verifyAgain } from './verify.ts';

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
  /** Of which transaction the request is a part. */
  txn?: string;
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
  /** Whether a token still stands; undefined for a guard that never asks. */
  standing: Introspector | undefined;
  /** Whether what the identity provider said last of a token may be believed yet: it waits for whoever does. */
  isAnswerHeld(token: VerifiedToken, address: string | undefined): boolean;
  /** What is known of that without asking; undefined for a guard that follows no feed. */
  feed: FeedStanding | undefined;
  /** Asked last, about operations that are marked for it. */
  continuous: ContinuousCheck | undefined;
  places: Places;
  /** What a caller's authority has to be. */
  demands: DemandsHeld;
  /** Which transaction tokens are taken; undefined for a resource that takes none. */
  transactions: TransactionsTaken | undefined;
  onDecision: ((record: DecisionRecord) => void) | undefined;
  /** Tells the identity provider of decisions. */
  reports: Reporter | undefined;
  /** By what it is known at this moment that a token stands. */
  knownBy(token: VerifiedToken): GuardMode;
}

/** What was found out by the time the decision fell; for the record of a refusal. */
export interface Seen {
  /** The scheme that the token came with. */
  scheme?: PresentedScheme;
  token?: VerifiedToken;
  operation?: Operation;
  address?: string | undefined;
}

/** An operation of the registration by its name, or the tool that is one. */
export type WantedOperation = { operation: string } | { tool: string };

/** What a verified caller wants to do: an operation, and its parameters or arguments. */
export type Wanted = WantedOperation & {
  parameters?: Readonly<Record<string, unknown>>;
  /** What their authority has to be, beside what the guard demands of everybody. */
  demands?: Demands;
};

/**
 * Decides about one request: who calls, and whether it may do what its method and path say. Never throws, whatever the request
 * holds: any error means no. Plain data in, plain data out; every adapter is a thin shell around this.
 */
export async function decide(core: Core, request: GuardRequest): Promise<Decision> {
  const seen: Seen = {};
  try {
    const place = placeIn(core, request);
    if (pathOf(request.url) === core.resource.metadataPath) return await publish(core, request);
    // Only what has to be waited for is awaited: this is the path of every request.
    const verifying = verify(core, request, place, seen);
    const verified = verifying instanceof Promise ? await verifying : verifying;
    const decided = allow(core, verified, askedByPath(verified, place), seen);
    const allowed = decided instanceof Promise ? await decided : decided;
    record(core, request, seen, { outcome: 'allowed', status: 200 });
    return allowed;
  } catch (error) {
    return refuseSafely(core, request, error, seen);
  }
}

/** What a request wants by its method and path. */
function askedByPath({ registration, request }: Verified, { path }: Place): Asked | undefined {
  const operation = path === undefined ? undefined : registration.operationFor(request.method, path);
  if (operation === undefined || path === undefined) return undefined;
  return { operation, parameters: () => parametersOf(operation, path), demands: [] };
}

/** The first half alone, for adapters that learn from the body what is wanted. Never throws; a refusal is recorded. */
export function verifyAlone(core: Core, request: GuardRequest): Promise<Verified | Answer> {
  return answering(core, request, {}, async (seen) => {
    const place = placeIn(core, request);
    if (pathOf(request.url) === core.resource.metadataPath) return publish(core, request);
    const verified = await verify(core, request, place, seen);
    if (place.path === undefined) throw notListed();
    mustMeet(core.demands.of(), verified.token);
    return verified;
  });
}

/** What of the first half needs no new proof, once more, and a refusal is recorded. Never throws. */
export function verifyOnceMore(core: Core, verified: Verified): Promise<Verified | Answer> {
  const { request, scheme, token, address } = verified;
  return answering(core, request, { scheme, token, address }, (seen) => verifyAgain(core, verified, seen));
}

/** The second half: any number of times for one verified request, and each time one decision. Never throws. */
export function decideOn(core: Core, verified: Verified, wanted: Wanted): Promise<Decision> {
  const { request, token, address } = verified;
  return answering(core, request, { scheme: verified.scheme, token, address }, async (seen) => {
    await mustStillStand(core, verified, seen);
    const operation = operationOf(verified, wanted);
    const demands = demandsFrom('demands', wanted.demands);
    const asked = operation && { operation, parameters: () => wanted.parameters ?? {}, demands };
    const allowed = await allow(core, verified, asked, seen);
    record(core, request, seen, { outcome: 'allowed', status: 200 });
    return allowed;
  });
}

/** What is wanted, as the registration knows it; undefined for what it doesn't list. */
export function operationOf({ registration }: Verified, wanted: WantedOperation): Operation | undefined {
  return 'tool' in wanted ? registration.operationOfTool(wanted.tool) : registration.operationNamed(wanted.operation);
}

/** The answer to a verified request that an adapter refuses for reasons of its own. Never throws. */
export function refuseVerified(core: Core, verified: Verified, refusal: Refusal, operation?: Operation): Answer {
  const { scheme, token, address } = verified;
  const seen = { scheme, token, address, ...(operation === undefined ? {} : { operation }) };
  return refuseSafely(core, verified.request, refusal, seen);
}

async function answering<Result>(
  core: Core,
  request: GuardRequest,
  seen: Seen,
  decideIt: (seen: Seen) => Promise<Result>,
): Promise<Result | Answer> {
  try {
    return await decideIt(seen);
  } catch (error) {
    return refuseSafely(core, request, error, seen);
  }
}

function refuseSafely(core: Core, request: GuardRequest, error: unknown, seen: Seen): Answer {
  try {
    return refuse(core, request, error, seen);
  } catch {
    return notChecked; // what was given to report, say, has thrown
  }
}

function placeIn(core: Core, request: GuardRequest): Place {
  const place = placeOf(request.url, core.resource);
  if (place !== undefined) return place;
  const detail = 'The path is written in a way that can be misread: send it normalised.';
  throw new Refusal('invalid_request', detail, { reason: 'ambiguous path' });
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
    scheme: seen.scheme,
    transactions: core.transactions,
    nonce: nonces?.current(core.runtime.now()),
  });
  const { code, message: reason } = refusal;
  record(core, request, seen, { outcome: 'refused', status: answer.status, code, reason });
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

type Fallen = Pick<DecisionRecord, 'outcome' | 'status' | 'code' | 'reason'>;

function record(core: Core, request: GuardRequest, seen: Seen, decided: Fallen): void {
  if (core.reports !== undefined) report(core, core.reports, { request, seen, decided });
  if (core.onDecision !== undefined) tell(core, request, seen, decided);
}

/** For the log of the identity provider. Whatever is wrong with it is nothing that a request should hear of. */
function report(
  core: Core,
  reports: Reporter,
  { request, seen, decided }: { request: GuardRequest; seen: Seen; decided: Fallen },
): void {
  const { token, operation, address } = seen;
  const { outcome, status, code, reason } = decided;
  try {
    if (token === undefined) reports.stranger(code ?? 'internal');
    else reports.used({ request, token, operation, address, outcome, status, code, reason, mode: core.knownBy(token) });
  } catch (error) {
    core.runtime.report(`A decision could not be reported: ${(error as Error).message}`);
  }
}

function tell(core: Core, request: GuardRequest, seen: Seen, decided: Fallen): void {
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
      ...(token?.caller.transaction === undefined ? {} : { txn: token.caller.transaction.txn }),
      ...(address === undefined ? {} : { address }),
    });
  } catch (error) {
    core.runtime.report(`onDecision threw: ${(error as Error).message}`);
  }
}
