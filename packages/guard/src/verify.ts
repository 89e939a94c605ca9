import { checkBinding } from './binding.ts';
import { checkContext } from './context.ts';
import { type Presented, type PresentedScheme, presentedIn, presentedInside } from './credentials.ts';
import type { Core, Seen } from './decide.ts';
import { Refusal } from './refusal.ts';
import type { Registration, TokenProfile } from './registration.ts';
import type { GuardRequest, Place } from './request.ts';
import type { VerifiedToken } from './tokens.ts';

/**
 * A request whose token, binding, context and standing hold. Who calls is known; what it may do here is the next question.
 * It is for adapters: hand routes the `Caller` of a decision, which has nothing in it that could leak.
 */
export interface Verified {
  readonly verified: true;
  /** Who is calling. The operation is added once it is known and allowed. */
  readonly caller: VerifiedToken['caller'];
  /** To be added to the answer, whatever it will be. */
  readonly headers: Record<string, string>;
  readonly request: GuardRequest;
  readonly token: VerifiedToken;
  /** Where the request goes, below the resource's own path; undefined outside of it. */
  readonly path: string | undefined;
  /** What the resource was registered as when this was checked. */
  readonly registration: Registration;
  /** The client's address, as far as the connection and trusted proxies tell. */
  readonly address: string | undefined;
  /** The scheme that the token came with. */
  readonly scheme: PresentedScheme;
  /** When this was checked, ms since 1970. */
  readonly at: number;
}

/** A request and the token that came with it, before anything is believed. */
interface Arrived {
  request: GuardRequest;
  place: Place;
  presented: Presented;
  now: number;
}

/**
 * The first half of a decision: finds the request's token, and holds it against issuer, binding, context and standing.
 * @returns a promise only where something has to be waited for: most requests come with a token that is known
 * @throws Refusal, or Unavailable when what it takes to know can't be had
 */
export function verify(core: Core, request: GuardRequest, place: Place, seen: Seen): Verified | Promise<Verified> {
  const now = core.runtime.now();
  const presented = presentedTo(core, request, place.query);
  seen.scheme = presented.scheme;
  const arrived = { request, place, presented, now };
  const registration = core.registration.peek();
  if (registration === undefined) return verifyAnew(core, arrived, seen);
  checkOpen(registration);
  const token = core.tokens.recall(presented.token, profileFor(core, presented, registration), now);
  return token === undefined ? verifyAnew(core, arrived, seen) : held(core, arrived, registration, token, seen);
}

/** The same with all that it may take: the registration is fetched, the signature verified. */
async function verifyAnew(core: Core, arrived: Arrived, seen: Seen): Promise<Verified> {
  const { presented, now } = arrived;
  const registration = core.registration.peek() ?? (await core.registration.get());
  checkOpen(registration);
  const token = await core.tokens.verify(presented.token, profileFor(core, presented, registration), now);
  return held(core, arrived, registration, token, seen);
}

function presentedTo({ transactions }: Core, request: GuardRequest, query: string): Presented {
  return transactions === undefined ? presentedIn(request, query) : presentedInside(request, query, transactions);
}

/** As what the token has to verify: what comes in one header is never taken for what comes in the other. */
function profileFor({ transactions }: Core, { scheme }: Presented, { profile }: Registration): TokenProfile {
  return scheme === 'Txn-Token' && transactions !== undefined ? transactions.profileOf(profile) : profile;
}

function checkOpen({ closed }: Registration): void {
  if (closed === undefined) return;
  const reason = `the resource is ${closed}`;
  throw new Refusal('unavailable', `This resource is ${closed}.`, { reason, retryAfterSeconds: 60 });
}

/** Holds a request against what its token says: where it may be used, by whom, and that it stands. */
function held(
  core: Core,
  { request, place, presented, now }: Arrived,
  registration: Registration,
  token: VerifiedToken,
  seen: Seen,
): Verified | Promise<Verified> {
  seen.token = token;
  const address = core.places.addressOf(request);
  seen.address = address;
  checkContext(core.places, token, address, now);
  if (presented.scheme !== 'Txn-Token') checkBinding(core, request, place, presented, token, now);
  const headers = freshNonce(core, presented, now);
  const { scheme } = presented;
  const { path } = place;
  const { caller } = token;
  const verified: Verified = {
    verified: true,
    caller,
    headers,
    request,
    path,
    token,
    registration,
    address,
    scheme,
    at: now,
  };
  if (core.standing === undefined) return verified;
  const standing = core.standing(presented.token, token, now, address, undefined, request);
  if (typeof standing !== 'boolean') return standing.then((stands) => (stands ? verified : ended()));
  return standing ? verified : ended();
}

/**
 * Holds once more what needs no new proof: that the token is accepted, may be used from here at this time, and stands. For whoever had to wait
 * between verifying and deciding, or tells a caller things for as long as it may hear them.
 * @throws Refusal, or Unavailable when what it takes to know can't be had
 */
export async function verifyAgain(core: Core, verified: Verified, seen: Seen): Promise<Verified> {
  const now = core.runtime.now();
  const { request, address } = verified;
  const presented = presentedTo(core, request, '');
  const registration = core.registration.peek() ?? (await core.registration.get());
  checkOpen(registration);
  const profile = profileFor(core, presented, registration);
  const token =
    core.tokens.recall(presented.token, profile, now) ?? (await core.tokens.verify(presented.token, profile, now));
  seen.token = token;
  checkContext(core.places, token, address, now);
  const standing = core.standing?.(presented.token, token, now, address, undefined, request);
  if (standing !== undefined && !(await standing)) ended();
  return { ...verified, caller: token.caller, token, registration, at: now };
}

/**
 * For whoever has waited since the token was verified: that it still stands, at this moment. Nothing to wait for while that is known by the feed, or by an
 * answer that the identity provider waits for.
 * @throws Refusal, or Unavailable when what it takes to know can't be had
 */
export function mustStillStand(core: Core, verified: Verified, seen: Seen): undefined | Promise<unknown> {
  const { feed, standing } = core;
  if (standing === undefined || feed?.known(verified.token) === true) return undefined;
  if (feed?.known(verified.token) === undefined && core.isAnswerHeld(verified.token, verified.address))
    return undefined;
  return verifyAgain(core, verified, seen);
}

function ended(): never {
  const detail = 'The access token no longer stands: it was revoked, or what it rests on was.';
  throw new Refusal('invalid_token', detail, { reason: 'no longer active' });
}

/** A caller that still uses the previous nonce hears of the next one in time. */
function freshNonce(core: Core, presented: Presented, now: number): Record<string, string> {
  const { nonces } = core.proof;
  return nonces === undefined || presented.scheme !== 'DPoP' ? {} : { 'dpop-nonce': nonces.current(now) };
}
