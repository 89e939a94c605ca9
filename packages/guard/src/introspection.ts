import { createClientAssertion, type Signer } from '@bailiwick/protocol';
import type { IssuerState } from './issuer.ts';
import { fetchJson, Unavailable } from './json-client.ts';
import type { Refreshed } from './refreshed.ts';
import type { Runtime } from './runtime.ts';
import type { VerifiedToken } from './tokens.ts';

/** Says whether a verified token still stands. @throws Unavailable when the identity provider can't be asked: fail closed */
export type Introspector = (token: string, verified: VerifiedToken, now: number) => boolean | Promise<boolean>;

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

  async function ask(token: string, verified: VerifiedToken): Promise<boolean> {
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

  async function start(token: string, verified: VerifiedToken): Promise<boolean> {
    const { standing } = verified;
    const askedAt = runtime.now();
    concurrent += 1;
    try {
      const active = await ask(token, verified);
      // Should a later question have been answered before: this one is too old to be believed then, and it is asked again.
      Object.assign(standing, { askedAt, active });
      return active;
    } finally {
      concurrent -= 1;
    }
  }

  return (token, verified, now) => {
    const { standing } = verified;
    const age = now - standing.askedAt;
    if (age >= 0 && age < cacheMs) return standing.active;
    const { asking } = standing;
    // An answer under way is joined only while it would be believed once it is here.
    if (asking !== undefined && now - asking.since <= cacheMs) return asking.answer;
    if (concurrent >= maxConcurrent) throw new Unavailable(`${maxConcurrent} introspections are under way already`);
    const started = { since: now, answer: start(token, verified) };
    standing.asking = started;
    const done = () => {
      if (standing.asking === started) standing.asking = undefined;
    };
    started.answer.then(done, done);
    return started.answer;
  };
}
