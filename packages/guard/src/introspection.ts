import { createClientAssertion, limitsPlace, type Signer } from '@bailiwick/protocol';
import type { IssuerState } from './issuer.ts';
import { fetchJson, Unavailable } from './json-client.ts';
import type { Refreshed } from './refreshed.ts';
import type { Runtime } from './runtime.ts';
import { type Standing, unasked, type VerifiedToken } from './tokens.ts';

/**
 * Says whether a verified token still stands, for whoever shows it from this address.
 * @param believedMs how old an answer may be, if not as old as usual
 * @throws Unavailable when the identity provider can't be asked: fail closed
 */
export type Introspector = (
  token: string,
  verified: VerifiedToken,
  now: number,
  address: string | undefined,
  believedMs?: number,
) => boolean | Promise<boolean>;

const hints = { 401: 'is the credential of this guard still registered, and is the clock right?' };

/**
 * Asks the identity provider whether a token still stands, and believes the answer for a short time, counted from when it was asked.
 * Any number of requests with one token ask once; and no more than `maxConcurrent` tokens are asked about at once.
 * @see RFC 7662 §2
 */
export function introspector(options: {
  runtime: Pick<Runtime, 'now' | 'fetch' | 'random'>;
  issuer: string;
  issuerState: Refreshed<IssuerState>;
  clientId: string;
  signer: Signer;
  cacheMs: number;
  maxConcurrent: number;
}): Introspector {
  const { runtime, issuer, issuerState, clientId, signer, cacheMs, maxConcurrent } = options;
  let concurrent = 0;

  async function ask(token: string, verified: VerifiedToken, address: string | undefined): Promise<boolean> {
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
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          token,
          token_type_hint: 'access_token',
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
  ): Promise<boolean> {
    const askedAt = runtime.now();
    concurrent += 1;
    try {
      const active = await ask(token, verified, address);
      // Should a later question have been answered before: this one is too old to be believed then, and it is asked again.
      Object.assign(standing, { askedAt, active });
      return active;
    } finally {
      concurrent -= 1;
    }
  }

  return (token, verified, now, from, believedMs = cacheMs) => {
    // Where a token isn't limited in place it makes no difference from where, and nobody is told.
    const address = limitsPlace(verified.context) ? from : undefined;
    const standing = standingOf(verified, address);
    const age = now - standing.askedAt;
    if (age >= 0 && age < believedMs) return standing.active;
    const { asking } = standing;
    // An answer under way is joined only while it would be believed once it is here.
    if (asking !== undefined && now - asking.since <= believedMs) return asking.answer;
    if (concurrent >= maxConcurrent) throw new Unavailable(`${maxConcurrent} introspections are under way already`);
    const started = { since: now, answer: start(token, verified, standing, address) };
    standing.asking = started;
    const done = () => {
      if (standing.asking === started) standing.asking = undefined;
    };
    started.answer.then(done, done);
    return started.answer;
  };
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
