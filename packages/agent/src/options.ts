import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import {
  isLoopback,
  isPrintable,
  type PrivateJwk,
  ProtocolError,
  parseScope,
  type Signer,
  signerFrom,
} from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';
import { safeUrl } from './urls.ts';

export interface AgentOptions {
  /** Where tokens come from, exactly as the server calls itself: `https://id.example`. */
  issuer: string;
  /** The agent's id: `agt_…`. */
  clientId: string;
  /** What the agent proves itself with: a private JWK, a private KeyObject or anything that can sign. */
  key: PrivateJwk | KeyObject | Signer;
  /** The one API that this agent calls. Left out, it is found for each URL by RFC 9728 discovery. */
  resource?: string;
  /** The scopes to ask for. Left out, they are the registration's defaults. */
  scope?: string | readonly string[];
  /** What tokens are bound to. Left out, an ES256 key made now, which never leaves this process and ends with it. */
  proofKey?: PrivateJwk | KeyObject | Signer;
  /** Ask for a wider token, once, when an API answers that the scope isn't enough? True by default. */
  stepUp?: boolean;
  /** How long discovery and token requests may take, each. 10 s by default. */
  timeoutMs?: number;
  fetch?: typeof globalThis.fetch;
  /** The present, in ms. */
  now?: () => number;
  sleep?: (ms: number) => Promise<void>;
}

/** Everything that the rest of this package needs from the outside, with its defaults filled in. */
export interface Deps {
  issuer: string;
  clientId: string;
  signer: Signer;
  proofSigner: Signer;
  resource: string | undefined;
  scope: string[] | undefined;
  stepUp: boolean;
  timeoutMs: number;
  fetch: typeof globalThis.fetch;
  now: () => number;
  sleep: (ms: number) => Promise<void>;
  uuid: () => string;
}

/**
 * Checks the options and fills in the defaults: the only place that reaches for the clock, randomness and the network.
 * @throws BailiwickError `bad_option`, what is wrong with a URL, or what is wrong with a key
 */
export function depsFrom(options: AgentOptions): Deps {
  const { issuer, clientId, resource } = options;
  if (!isPrintable(clientId, 512)) {
    throw new BailiwickError('bad_option', 'clientId is missing', { hint: 'it is the agent id, agt_…' });
  }
  checkIssuer(issuer);
  if (resource !== undefined) safeUrl(resource, 'resource');
  return {
    issuer,
    clientId,
    signer: usable(options.key, 'key'),
    proofSigner: options.proofKey === undefined ? freshSigner() : usable(options.proofKey, 'proofKey'),
    resource,
    scope: scopeList(options.scope),
    stepUp: options.stepUp ?? true,
    timeoutMs: options.timeoutMs ?? 10_000,
    // Looked up at each call, so that a fetch replaced later (by a test, a proxy agent) is the one that is used.
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    now: options.now ?? Date.now,
    sleep: options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
    uuid: randomUUID,
  };
}

function usable(key: AgentOptions['key'], name: string): Signer {
  try {
    return signerFrom(key);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new BailiwickError(error.code, `${name}: ${error.message}`, {
      hint: 'a private JWK as bailiwick writes it will do',
    });
  }
}

function checkIssuer(issuer: unknown): void {
  if (typeof issuer !== 'string') throw new BailiwickError('bad_option', 'issuer is missing');
  safeUrl(issuer, 'issuer');
  if (/[?#]/.test(issuer)) throw new BailiwickError('bad_option', 'issuer has a query or fragment');
}

/**
 * The default key for proofs. Not the agent's own: that one may be slow or counted by the call (HSM, cloud), says more
 * than a proof has to, and lives for months, while this one makes every token worthless the moment the process ends.
 */
function freshSigner(): Signer {
  return signerFrom(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
}

/**
 * Scopes as a list, whichever way they were written. An empty list is a wish for no scope at all.
 * @throws BailiwickError `bad_option`
 */
export function scopeList(scope: string | readonly string[] | undefined): string[] | undefined {
  if (scope === undefined) return undefined;
  const text = typeof scope === 'string' ? scope : scope.join(' ');
  try {
    return text === '' ? [] : parseScope(text);
  } catch {
    throw new BailiwickError('bad_option', 'scope must be names with single spaces between, or a list of names');
  }
}

/** An https issuer must not send us to plain http, not even on this machine. */
export function isNoDowngrade(from: URL, to: URL): boolean {
  return (
    from.protocol !== 'https:' || to.protocol === 'https:' || (isLoopback(from.hostname) && isLoopback(to.hostname))
  );
}
