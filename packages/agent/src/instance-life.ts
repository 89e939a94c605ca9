import type { KeyObject } from 'node:crypto';
import { isPrintable, type Signer } from '@bailiwick/protocol';
import { isPassing } from './attempts.ts';
import { BailiwickError } from './errors.ts';
import { assertedBy, type Identity, type PeerFetch, provenByTls } from './identity.ts';
import { type InstanceApi, jwtSvidsOf, type Standing, standingOf } from './instance-api.ts';
import type { IssuerClock } from './issuer-clock.ts';
import type { CommonDeps, TokenBinding } from './options.ts';
import { singleFlight } from './single-flight.ts';
import { createTlsFetch, type TlsFetch } from './tls-fetch.ts';

/** What an instance is, and goes on being: it renews in time, and knows when it is over. */
export interface Life {
  /** What it proves itself with, renewed beforehand where that is due. @throws BailiwickError `instance_ended`, … */
  identity(): Promise<Identity>;
  /** The same by its certificate, and bound to that as well; undefined where somebody else's fetch sends everything. */
  certified(): Promise<Identity | undefined>;
  standing(): Standing;
  /** For anonymous requests: believes the trust domain's authorities, presents nothing. */
  open: PeerFetch;
  jwtSvid(audience: string): Promise<string>;
  /**
   * Was it refused because it is over? An endpoint that doesn't know it any more says no more than that, so the issuer is asked about the
   * instance itself, by its key. @throws BailiwickError `instance_ended`
   */
  explain(refusal: unknown): Promise<void>;
  /** Lets it go: its timer, its connections; every later use says why. */
  stop(why: string): void;
}

export interface LifeInput {
  deps: CommonDeps;
  api: InstanceApi;
  clock: IssuerClock;
  key: KeyObject;
  signer: Signer;
  binding: TokenBinding;
  /** False where somebody else's fetch sends everything, and so nobody presents a certificate. */
  ownTls: boolean;
  /** For how long it is renewed, if that was said. */
  lifetimeSeconds: number | undefined;
  first: Standing;
}

/** What is made of one certificate. */
interface Parts {
  identity: Identity;
  certified: Identity | undefined;
  tls: TlsFetch[];
  open: PeerFetch;
}

const firstRetryMs = 1_000;
const longestRetryMs = 60_000;
/** With less than this to live, calls wait for the renewal instead of going on with what there is. */
const lastMs = 30_000;
const maxAudiences = 50;
/** What the token endpoint says to an instance that has ended, or whose agent may do nothing. */
const unknowns = new Set(['invalid_client', 'unauthorized_client']);
const enrolAgain =
  'enrol again, with a new enrolment token or the agent’s own key; the audit log of the issuer says who ended this one';

/**
 * Keeps an instance alive: renews at `renew_at`, a little early and never twice at once, by a timer and, since timers stand
 * still in a process that is paused, before each use. What fails in passing is tried again, in longer and longer
 * intervals, until the instance's end; meanwhile what there is goes on working.
 */
export function createLife(input: LifeInput): Life {
  const { deps, api, clock, key, signer, binding, ownTls, lifetimeSeconds, first } = input;
  const lifetime = lifetimeSeconds === undefined ? {} : { lifetime_seconds: lifetimeSeconds };
  const flight = singleFlight<void>();
  const audiences = new Map<string, { token: string; expiresAt: number }>();
  let over: { message: string; status: number | undefined } | undefined;
  let failures = 0;
  let nextTryAt = 0;
  let cancel = () => {};
  let standing = first;
  let parts = partsOf(first);
  adopt(first);

  function partsOf({ clientId, chain, bundle }: Standing): Parts {
    const presenting = ownTls && createTlsFetch({ certificate: { chain, key }, ca: deps.ca, bundle }, deps.fetch);
    const anonymous = ownTls && createTlsFetch({ ca: deps.ca, bundle }, deps.fetch);
    const identity: Identity = {
      // over mutual TLS its X.509-SVID says who it is already, and nothing has to be signed
      authenticate: binding === 'dpop' ? assertedBy(signer, clientId) : provenByTls(clientId),
      proofSigner: binding === 'mtls' ? undefined : signer,
      mutualTls: binding !== 'dpop',
      fetch: presenting ? presenting.fetch : deps.fetch,
    };
    const tls = presenting && anonymous ? [presenting, anonymous] : [];
    const proven = { authenticate: provenByTls(clientId), proofSigner: signer, mutualTls: true };
    const certified = presenting ? { ...proven, fetch: presenting.fetch } : undefined;
    return { identity, certified, tls, open: anonymous ? anonymous.fetch : deps.fetch };
  }

  function adopt(next: Standing): void {
    standing = next;
    for (const [audience, svid] of next.jwtSvids) audiences.set(audience, svid);
    failures = 0;
    const now = clock.now();
    // Many that were started at once shall not come back at once.
    nextTryAt = next.renewAt - Math.max(0, next.renewAt - now) * 0.1 * deps.random();
    arm();
  }

  function arm(): void {
    cancel();
    cancel = deps.timer(nextTryAt - clock.now(), renewQuietly);
  }

  async function renew(): Promise<void> {
    const step = 'renewing the instance';
    try {
      const body = async () => lifetime;
      const { answer } = await api({ step, method: 'POST', path: `/instances/${first.id}/renew`, signer, body });
      const next = standingOf(step, answer, { now: clock.now(), signer });
      if (over !== undefined) return;
      parts = partsOf(next);
      adopt(next);
    } catch (error) {
      noteFailure(error);
      throw error;
    }
  }

  function noteFailure(error: unknown): void {
    if (over !== undefined) return;
    if (isFinal(error)) {
      over = { message: `this instance has ended: ${error.message}`, status: error.status };
      release();
      return;
    }
    const now = clock.now();
    const longest = Math.min(longestRetryMs, Math.max(firstRetryMs, (standing.expiresAt - now) / 2));
    nextTryAt = now + Math.min(longest, firstRetryMs * 2 ** failures) * (0.5 + 0.5 * deps.random());
    failures++;
    if (nextTryAt < standing.expiresAt) arm();
  }

  function renewQuietly(): void {
    flight('renew', renew).catch(() => {});
  }

  /** Kept connections go; what is under way ends as it would. */
  function release(): void {
    cancel();
    for (const tls of parts.tls) tls.retire();
  }

  function checkAlive(): void {
    if (over === undefined) return;
    const { message, status } = over;
    throw new BailiwickError('instance_ended', message, { ...(status !== undefined && { status }), hint: enrolAgain });
  }

  async function current(): Promise<Parts> {
    checkAlive();
    const now = clock.now();
    if (now < nextTryAt && now < standing.expiresAt) return parts;
    if (now < standing.expiresAt - lastMs) renewQuietly();
    else await flight('renew', renew).catch((error) => bridge(error));
    return parts;
  }

  return {
    standing: () => standing,
    open: (url, init) => parts.open(url, init),
    identity: async () => (await current()).identity,
    certified: async () => (await current()).certified,
    async jwtSvid(audience) {
      if (!isPrintable(audience, 2048) || audience.length === 0) {
        throw new BailiwickError('bad_option', 'audience is missing', {
          hint: 'it names who shall believe the JWT-SVID',
        });
      }
      checkAlive();
      const kept = audiences.get(audience);
      if (kept !== undefined && clock.now() < kept.expiresAt - lastMs) return kept.token;
      await flight(`audience ${audience}`, () => fetchJwtSvid(audience));
      return (audiences.get(audience) as { token: string }).token;
    },
    async explain(refusal) {
      checkAlive();
      if (!(refusal instanceof BailiwickError) || !unknowns.has(refusal.code)) return;
      await flight('look', look).catch((error) => isFinal(error) && noteFailure(error));
      checkAlive();
    },
    stop(why) {
      over ??= { message: why, status: undefined };
      release();
    },
  };

  /** A renewal that failed in passing costs nothing while there is something left of what it should renew. */
  function bridge(error: unknown): void {
    checkAlive();
    if (!isPassing(error) || clock.now() >= standing.expiresAt) throw error;
  }

  async function look(): Promise<void> {
    await api({ step: 'asking about the instance', method: 'GET', path: `/instances/${first.id}`, signer });
  }

  async function fetchJwtSvid(audience: string): Promise<void> {
    const step = 'asking for a JWT-SVID';
    try {
      // Its certificate stays as it is: for the few minutes of a JWT-SVID, connections needn't be made anew.
      const body = async () => ({ ...lifetime, jwt_svid_audiences: [audience], x509_svid: false });
      const { answer } = await api({ step, method: 'POST', path: `/instances/${first.id}/renew`, signer, body });
      const svid = jwtSvidsOf(answer.json).get(audience);
      if (svid === undefined) throw new BailiwickError('bad_answer', `${step}: the issuer answered without one`);
      audiences.delete(audience);
      audiences.set(audience, svid);
      if (audiences.size > maxAudiences) audiences.delete(audiences.keys().next().value as string);
    } catch (error) {
      if (isFinal(error)) noteFailure(error);
      checkAlive();
      throw error;
    }
  }
}

/**
 * Does the issuer say that there is no such instance any more? Other refusals (a template that it doesn't fit any longer, say) only mean
 * that it will not be renewed: until its end it lives.
 */
function isFinal(error: unknown): error is BailiwickError {
  return error instanceof BailiwickError && error.code === 'invalid_client';
}
