import { clientAddress } from './address.ts';
import { checkBinding } from './binding.ts';
import { checkContext } from './context.ts';
import { type Presented, presentedIn } from './credentials.ts';
import type { Core, Seen } from './decide.ts';
import { Refusal } from './refusal.ts';
import type { Registration } from './registration.ts';
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
  /** What the resource was registered as when this was checked. */
  readonly registration: Registration;
  /** The client's address, as far as the connection and trusted proxies tell. */
  readonly address: string | undefined;
  /** The scheme that the token came with. */
  readonly scheme: 'DPoP' | 'Bearer';
  /** When this was checked, ms since 1970. */
  readonly at: number;
}

/**
 * The first half of a decision: finds the request's token, and holds it against issuer, binding, context and standing.
 * @throws Refusal, or Unavailable when what it takes to know can't be had
 */
export async function verify(core: Core, request: GuardRequest, place: Place, seen: Seen): Promise<Verified> {
  const now = core.runtime.now();
  const presented = presentedIn(request, place.query);
  seen.scheme = presented.scheme;
  const registration = core.registration.peek() ?? (await core.registration.get());
  const { profile, closed } = registration;
  if (closed !== undefined) {
    const reason = `the resource is ${closed}`;
    throw new Refusal('unavailable', `This resource is ${closed}.`, { reason, retryAfterSeconds: 60 });
  }
  const { token: compact } = presented;
  const token = core.tokens.recall(compact, profile, now) ?? (await core.tokens.verify(compact, profile, now));
  seen.token = token;
  const address = clientAddress(request.remoteAddress, request.headers['x-forwarded-for'], core.isTrustedProxy);
  seen.address = address;
  checkContext(token.claims.ctx, address);
  checkBinding(core, request, place, presented, token, now);
  await checkStanding(core, compact, token, now);
  const headers = freshNonce(core, presented, now);
  const { scheme } = presented;
  return { verified: true, caller: token.caller, headers, request, token, registration, address, scheme, at: now };
}

async function checkStanding(core: Core, compact: string, token: VerifiedToken, now: number): Promise<void> {
  if (core.introspect === undefined) return;
  const answer = core.introspect(compact, token, now);
  if (typeof answer === 'boolean' ? answer : await answer) return;
  const detail = 'The access token no longer stands: it was revoked, or what it rests on was.';
  throw new Refusal('invalid_token', detail, { reason: 'no longer active' });
}

/** A caller that still uses the previous nonce hears of the next one in time. */
function freshNonce(core: Core, presented: Presented, now: number): Record<string, string> {
  const { nonces } = core.proof;
  return nonces === undefined || presented.scheme !== 'DPoP' ? {} : { 'dpop-nonce': nonces.current(now) };
}
