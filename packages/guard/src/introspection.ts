import { createClientAssertion, limitsPlace, type Signer } from '@bailiwick/protocol';
import { elapsedClock } from './feed/lease.ts';
import type { IssuerState } from './issuer.ts';
import { fetchJson, Unavailable } from './json-client.ts';
import type { Refreshed } from './refreshed.ts';
import { traceOf } from './reports/access.ts';
import type { GuardRequest } from './request.ts';
import type { Runtime } from './runtime.ts';
import { type Standing, unasked, type VerifiedToken } from './tokens.ts';

/** How an answer is asked for, where not as usual. */
export interface Asking {
  /** How old it may be (ms). */
  believedMs: number;
  /**
   * For how long the identity provider is to wait with acknowledgements of revocations for whoever believes it (ms). 0: for nobody, since it is held
   * against what the feed tells.
   */
  holdMs: number;
  /** Called with an answer of yes to exactly this question. */
  confirmed(): void;
}

/**
 * Says whether a verified token still stands, for whoever shows it from this address.
 * @param request of which asking is a part (W3C Trace Context); of several that hear one answer, the first
 * @throws Unavailable when the identity provider can't be asked, or took too long: fail closed
 */
export type Introspector = (
  token: string,
  verified: VerifiedToken,
  now: number,
  address: string | undefined,
  asking?: Asking,
  request?: Pick<GuardRequest, 'headers'>,
) => boolean | Promise<boolean>;

/** Of what the identity provider grants, a guard uses so much: the rest is for clocks that don't run alike. */
const usedPart = 0.9;
/** An answer that is believed for no time has to be here within this (ms, and a tenth less). */
const leastHoldMs = 2_000;

const hints = { 401: 'is the credential of this guard still registered, and is the clock right?' };

/**
 * Asks the identity provider whether a token still stands, and believes the answer for a short time, counted from when it was asked.
 * Any number of requests with one token ask once; and no more than `maxConcurrent` tokens are asked about at once.
 * @see RFC 7662 §2
 */
export function introspector(options: {
  runtime: Pick<Runtime, 'now' | 'monotonic' | 'fetch' | 'random'>;
  issuer: string;
  issuerState: Refreshed<IssuerState>;
  clientId: string;
  signer: Signer;
  cacheMs: number;
  maxConcurrent: number;
}): Introspector & {
  /** Whether the identity provider still waits for whoever believes what it said last of this token. */
  holds(verified: VerifiedToken, address: string | undefined): boolean;
} {
  const { runtime, issuer, issuerState, clientId, signer, cacheMs, maxConcurrent } = options;
  const elapsed = elapsedClock(runtime);
  const usual: Asking = {
    believedMs: cacheMs,
    holdMs: Math.max(leastHoldMs, Math.ceil(cacheMs / usedPart)),
    confirmed() {},
  };
  let concurrent = 0;

  async function ask(
    token: string,
    verified: VerifiedToken,
    address: string | undefined,
    { holdMs, trace }: { holdMs: number; trace: string | undefined },
  ): Promise<boolean> {
    const { introspectionEndpoint } = issuerState.peek() ?? (await issuerState.get());
    if (introspectionEndpoint === undefined) throw new Unavailable(`${issuer} has no introspection_endpoint`);
    const assertion = await createClientAssertion(signer, {
      clientId,
      audience: issuer,
      now: runtime.now(),
      jti: runtime.random(16),
    });
    const answer = await fetchJson(
      runtime,
      introspectionEndpoint,
      {
        method: 'POST',
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          ...(trace !== undefined && { traceparent: trace }),
        },
        body: new URLSearchParams({
          token,
          token_type_hint: 'access_token',
          hold_ms: String(holdMs),
          ...(address !== undefined && { presenter_address: address }),
          client_id: clientId,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: assertion,
        }).toString(),
      },
      { hints },
    );
    if (typeof answer.active !== 'boolean')
      throw new Unavailable(`${introspectionEndpoint} did not say if it is active`);
    return answer.active && answer.jti === verified.claims.jti;
  }

  async function start(
    token: string,
    verified: VerifiedToken,
    standing: Standing,
    address: string | undefined,
    { holdMs, confirmed, trace }: Asking & { trace: string | undefined },
  ): Promise<boolean> {
    const askedAt = runtime.now();
    const heldUntil = elapsed() + holdMs * usedPart;
    concurrent += 1;
    try {
      const active = await ask(token, verified, address, { holdMs, trace });
      // should a later question have been answered before, it says more than this one
      if (askedAt >= standing.askedAt) Object.assign(standing, { askedAt, active, heldUntil });
      if (active) confirmed();
      return active;
    } finally {
      concurrent -= 1;
    }
  }

  /** Nobody waits any more for whoever believes an answer that took so long. */
  async function inTime(answer: Promise<boolean>, heldUntil: number): Promise<boolean> {
    const active = await answer;
    if (active && elapsed() >= heldUntil) throw new Unavailable('the answer about a token came too late');
    return active;
  }

  function introspect(...[token, verified, now, from, asked = usual, request]: Parameters<Introspector>) {
    const { believedMs, holdMs } = asked;
    // Where a token isn't limited in place it makes no difference from where, and nobody is told.
    const address = limitsPlace(verified.context) ? from : undefined;
    const standing = standingOf(verified, address);
    const age = now - standing.askedAt;
    const isHeld = (until: number) => holdMs === 0 || elapsed() < until;
    if (age >= 0 && age < believedMs && (!standing.active || isHeld(standing.heldUntil))) return standing.active;
    const { asking } = standing;
    // An answer under way is joined only while it would be believed once it is here.
    if (asking !== undefined && now - asking.since <= believedMs && isHeld(asking.heldUntil)) {
      return holdMs === 0 ? asking.answer : inTime(asking.answer, asking.heldUntil);
    }
    if (concurrent >= maxConcurrent) throw new Unavailable(`${maxConcurrent} introspections are under way already`);
    const heldUntil = elapsed() + holdMs * usedPart;
    const trace = request && traceOf(request);
    const answer = start(token, verified, standing, address, { ...asked, trace });
    const started = { since: now, heldUntil, answer };
    standing.asking = started;
    const done = () => {
      if (standing.asking === started) standing.asking = undefined;
    };
    started.answer.then(done, done);
    return holdMs === 0 ? started.answer : inTime(started.answer, heldUntil);
  }

  return Object.assign(introspect, {
    holds(verified: VerifiedToken, from: string | undefined) {
      const { active, heldUntil } = standingOf(verified, limitsPlace(verified.context) ? from : undefined);
      return active && elapsed() < heldUntil;
    },
  });
}

/** A token is shown from few places at a time; who moves on is asked about anew. */
const placesRemembered = 8;

/** What was answered for one address says nothing of another. */
function standingOf({ standing, standingAt }: VerifiedToken, address: string | undefined): Standing {
  if (address === undefined) return standing;
  let here = standingAt.get(address);
  if (here === undefined) {
    if (standingAt.size >= placesRemembered) standingAt.clear();
    here = unasked();
    standingAt.set(address, here);
  }
  return here;
}
