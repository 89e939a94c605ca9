import { createPrivateKey, generateKeyPairSync, KeyObject, randomUUID } from 'node:crypto';
import { isLoopback, isPrintable, type PrivateJwk, ProtocolError, type Signer, signerFrom } from '@bailiwick/protocol';
import { type Asked, askedOf, type TokenWishes } from './asked.ts';
import { BailiwickError } from './errors.ts';
import type { Identity, PeerFetch } from './identity.ts';
import { createTlsFetch } from './tls-fetch.ts';
import { activeTrace, type CurrentTrace } from './trace.ts';
import { certificatesIn } from './trust.ts';
import { safeUrl } from './urls.ts';

/** What an agent's tokens are bound to: a key (RFC 9449), a certificate (RFC 8705), or both at once. */
export type TokenBinding = 'dpop' | 'mtls' | 'both';

/** What is the same however the agent proves itself. */
export interface CommonOptions extends TokenWishes {
  /** The one API that this agent calls. Left out, it is found for each URL by RFC 9728 discovery. */
  resource?: string;
  /** PEM of authorities to believe beside those of the Web PKI, where issuer or APIs have certificates of one's own. */
  ca?: string | readonly string[];
  /** Ask for a wider token, once, when an API answers that the scope isn't enough? True by default. */
  stepUp?: boolean;
  /**
   * Says, at each call, what it is part of (a W3C `traceparent`), for the log of the issuer and for the API. Left out, it is the active span of
   * OpenTelemetry where the app uses that, else one that is made here, the same for all that is done at a task. `false` sends none.
   */
  traceparent?: (() => string | undefined) | false;
  /** Tell the issuer when the work at a task begins and how it ended? Whoever may not is silent. True by default. */
  reportTasks?: boolean;
  /** How long discovery and token requests may take, each. 10 s by default. */
  timeoutMs?: number;
  /** Replaces how everything is sent, TLS included: certificates are then presented by nobody else. */
  fetch?: typeof globalThis.fetch;
  /** The present, in ms. */
  now?: () => number;
  sleep?: (ms: number) => Promise<void>;
}

export interface AgentOptions extends CommonOptions {
  /** Where tokens come from, exactly as the server calls itself: `https://id.example`. */
  issuer: string;
  /** The agent's id: `agt_…`. */
  clientId: string;
  /** What the agent proves itself with: a private JWK, a private KeyObject or anything that can sign. With `certificate`, its key (PEM will do). */
  key?: PrivateJwk | KeyObject | Signer | string;
  /** PEM of a client certificate and what leads to its root: proves the agent by TLS (RFC 8705), in place of signing. */
  certificate?: string;
  /** Brings a JWT-SVID for the issuer whenever it is asked: proves the agent by SPIFFE, in place of a key. */
  svid?: () => Promise<string>;
  /** What tokens are bound to: `dpop`, or `mtls` where there is a certificate, which can also be `both`. */
  binding?: TokenBinding;
  /** What DPoP binds tokens to. Left out, an ES256 key made now, which never leaves this process and ends with it. */
  proofKey?: PrivateJwk | KeyObject | Signer;
}

/** The world, with its defaults filled in. */
export interface World {
  /** For requests without a credential in TLS: anonymous ones, and those that are signed. */
  fetch: PeerFetch;
  now: () => number;
  sleep: (ms: number) => Promise<void>;
  /** From 0 to below 1. */
  random: () => number;
  /** Does something later, without keeping the process alive for it. Gives what takes it back. */
  timer: (ms: number, work: () => void) => () => void;
  uuid: () => string;
}

/** Everything that the rest of this package needs from the outside. */
export interface Deps extends World {
  issuer: string;
  clientId: string;
  /** What the agent proves itself with, as of now. */
  identity: () => Promise<Identity>;
  /** One whose tokens are bound to a certificate too, where policy wants that and there is one. */
  certified?: (() => Promise<Identity | undefined>) | undefined;
  /** What to do when the issuer doesn't know who asks. */
  unknownHint: string;
  /** Where a refused token may have a better reason than the one that was heard: throws that one. */
  explain?: (refusal: unknown) => Promise<void>;
  resource: string | undefined;
  /** What is asked for unless a call says otherwise. */
  asked: Asked;
  stepUp: boolean;
  timeoutMs: number;
  /** What is under way; undefined where none of it is to be told. */
  trace: CurrentTrace | undefined;
  reportTasks: boolean;
}

/** What is known before it is known who the agent is. */
export type CommonDeps = Omit<Deps, 'clientId' | 'identity' | 'certified' | 'unknownHint' | 'explain'> & {
  ca: readonly string[];
};

/**
 * Checks what every kind of agent is made of and fills in the defaults: the only place that reaches for the clock,
 * randomness and the network.
 * @throws BailiwickError `bad_option`, or what is wrong with a URL
 */
export function commonDeps(issuer: string, options: CommonOptions): CommonDeps {
  checkIssuer(issuer);
  if (options.resource !== undefined) safeUrl(options.resource, 'resource');
  const ca = options.ca === undefined ? [] : certificatesIn(options.ca, 'ca');
  return {
    issuer,
    resource: options.resource,
    asked: askedOf(options),
    stepUp: options.stepUp ?? true,
    timeoutMs: options.timeoutMs ?? 10_000,
    trace: options.traceparent === false ? undefined : (options.traceparent ?? activeTrace),
    reportTasks: options.reportTasks ?? true,
    ca,
    ...worldFrom(options, ca),
  };
}

/**
 * @throws BailiwickError `bad_option`
 */
export function checkClientId(clientId: unknown): void {
  if (isPrintable(clientId, 512)) return;
  throw new BailiwickError('bad_option', 'clientId is missing', { hint: 'it is the agent id, agt_…' });
}

/** The network. Looked up at each call, so that a fetch replaced later (by a test, a proxy agent) is the one that is used. */
export const fetchOf = (own: typeof globalThis.fetch | undefined): typeof globalThis.fetch => own ?? globalThis.fetch;

/** What tests replace. Beyond the documented options they may bring `random` and `timer`. */
type OwnWorld = CommonOptions & Partial<Pick<World, 'random' | 'timer'>>;

function worldFrom(options: OwnWorld, ca: readonly string[]): World {
  const plain: PeerFetch = async (url, { peer, ofIssuer: _, ...init } = {}) => {
    if (peer !== undefined) {
      throw new BailiwickError('bad_option', 'who the peer is can only be checked on an https connection of our own', {
        hint: 'peer is for instances and agents with a certificate, for https, and not with an own fetch',
      });
    }
    return fetchOf(options.fetch)(url, init);
  };
  return {
    fetch: ca.length === 0 || options.fetch ? plain : createTlsFetch({ ca, bundle: [] }, plain).fetch,
    now: options.now ?? Date.now,
    sleep: options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
    random: options.random ?? Math.random,
    timer: options.timer ?? laterOn,
    uuid: randomUUID,
  };
}

function laterOn(ms: number, work: () => void): () => void {
  const timer = setTimeout(work, Math.min(Math.max(ms, 0), 2 ** 31 - 1)).unref();
  return () => clearTimeout(timer);
}

/**
 * A signer of what was given as a key.
 * @throws BailiwickError what is wrong with it
 */
export function signerOf(key: AgentOptions['key'], name: string): Signer {
  try {
    return signerFrom(typeof key === 'string' ? fromPem(key) : (key as PrivateJwk));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new BailiwickError(error.code, `${name}: ${error.message}`, {
      hint: 'a private JWK as bailiwick writes it will do',
    });
  }
}

/**
 * The private key itself, which TLS needs: an object that only signs can't be one.
 * @throws BailiwickError `bad_key`
 */
export function privateKeyOf(key: AgentOptions['key'], name: string): KeyObject {
  try {
    if (typeof key === 'string') return fromPem(key);
    if (key instanceof KeyObject && key.type === 'private') return key;
    const jwk = key as PrivateJwk | undefined;
    if (typeof jwk?.d === 'string') return createPrivateKey({ key: { ...jwk }, format: 'jwk' });
  } catch {
    // said below, without the reason: it may quote the key
  }
  throw new BailiwickError('bad_key', `${name}: the key of a certificate must be a private JWK, KeyObject or PEM text`);
}

function fromPem(text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch {
    throw new ProtocolError('bad_key', 'the text is no private key in PEM');
  }
}

function checkIssuer(issuer: unknown): void {
  if (typeof issuer !== 'string') throw new BailiwickError('bad_option', 'issuer is missing');
  safeUrl(issuer, 'issuer');
  if (/[?#]/.test(issuer)) throw new BailiwickError('bad_option', 'issuer has a query or fragment');
}

/**
 * A key pair of this process alone. For proofs it is better than the agent's own, which may be slow or counted by the call
 * (HSM, cloud), says more than a proof has to, and lives for months, while this one makes every token worthless the moment
 * the process ends.
 */
export function freshKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** An https issuer must not send us to plain http, not even on this machine. */
export function isNoDowngrade(from: URL, to: URL): boolean {
  return (
    from.protocol !== 'https:' || to.protocol === 'https:' || (isLoopback(from.hostname) && isLoopback(to.hostname))
  );
}
