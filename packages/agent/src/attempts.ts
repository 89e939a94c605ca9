import { isPrintable } from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';
import type { Answer } from './http.ts';
import type { IssuerClock } from './issuer-clock.ts';
import type { Nonces } from './nonces.ts';
import type { World } from './options.ts';

interface Attempts {
  nonce: boolean;
  clock: boolean;
  waits: number;
}

const maxWaits = 2;
const maxWaitMs = 10_000;

/**
 * Asks the issuer until there is nothing left that would make another try worth it: a new nonce and a corrected clock
 * count once each, waiting (`Retry-After`) twice.
 * @param send makes the request anew, with a proof of its own
 */
export async function askIssuer(
  { deps, clock, nonces }: { deps: World; clock: IssuerClock; nonces: Nonces },
  origin: string,
  send: (at: { now: number; nonce: string | undefined }) => Promise<Answer>,
): Promise<Answer> {
  const tried: Attempts = { nonce: false, clock: false, waits: 0 };
  for (;;) {
    const nonce = nonces.get(origin);
    const answer = await send({ now: clock.now(), nonce });
    nonces.learn(origin, answer.headers);
    // Compared with what was sent: another request may have learned the same nonce meanwhile.
    const hasOtherNonce = nonces.get(origin) !== nonce;
    if (isDone(answer) || !(await isWorthAnother(deps, clock, answer, hasOtherNonce, tried))) return answer;
  }
}

const isDone = ({ status }: Answer) => status >= 200 && status < 300;

/** Is there a reason to ask once more? Each reason counts once, but waiting. */
async function isWorthAnother(
  deps: World,
  clock: IssuerClock,
  answer: Answer,
  hasOtherNonce: boolean,
  tried: Attempts,
): Promise<boolean> {
  const error = answer.json?.error;
  if (error === 'use_dpop_nonce' && hasOtherNonce && !tried.nonce) {
    tried.nonce = true;
    return true;
  }
  if ((error === 'invalid_client' || error === 'invalid_dpop_proof') && !tried.clock) {
    tried.clock = true;
    return clock.learn(answer.headers);
  }
  if ((answer.status !== 429 && answer.status !== 503) || tried.waits >= maxWaits) return false;
  const wait = retryAfterMs(answer.headers, deps.now());
  if (wait > maxWaitMs) return false;
  tried.waits++;
  await deps.sleep(wait);
  return true;
}

/** @see RFC 9110 §10.2.3 */
function retryAfterMs(headers: Headers, now: number): number {
  const text = headers.get('retry-after') ?? '1';
  const wait = /^\d{1,6}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isFinite(wait) ? Math.max(wait, 100) : 1000;
}

/** The OAuth error of a refusal, or `fallback` where the answer names none. */
export function errorNameOf({ json }: Answer, fallback: string): string {
  const named = json?.error;
  return typeof named === 'string' && /^[a-z_]{1,64}$/.test(named) ? named : fallback;
}

/** The issuer's own words, ready to end a sentence, but for anything in them that looks like a token. */
export function wordsOf({ json }: Answer): string {
  const description = json?.error_description;
  if (!isPrintable(description, 500)) return '';
  return `: ${description.replace(/[\w-]{16,}\.[\w.-]+|\bbw[a-z]_[\w-]{8,}/g, '[left out]')}`;
}

const passing = new Set([
  'network',
  'timeout',
  'temporarily_unavailable',
  'server_error',
  'token_refused',
  'enrolment_refused',
  'slow_down',
]);

/** Is this a failure that may be gone in a moment, rather than a refusal? */
export function isPassing(error: unknown): error is BailiwickError {
  if (!(error instanceof BailiwickError) || !passing.has(error.code)) return false;
  return error.status === undefined || error.status === 429 || error.status >= 500;
}
