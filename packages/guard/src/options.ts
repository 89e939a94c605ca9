import { readFileSync } from 'node:fs';
import path from 'node:path';
import {
  isJwsAlgorithm,
  type JwsAlgorithm,
  jwsAlgorithms,
  type PrivateJwk,
  type Signer,
  signerFrom,
} from '@bailiwick/protocol';
import type { DecisionRecord } from './decide.ts';
import { isSafeUrl } from './issuer.ts';
import type { RegistrationInput } from './registration.ts';
import type { Runtime } from './runtime.ts';

/** How the guard is set up is wrong; the message says what to write. */
export class GuardConfigError extends Error {
  override name = 'GuardConfigError';
}

/** A guard's own identity, as `bailiwick` writes it to a file. */
export interface GuardCredential {
  issuer?: string;
  client_id: string;
  /** The private key: a JWK, or anything that can sign. */
  jwk: PrivateJwk | Signer;
}

export interface GuardOptions {
  /** The identity provider, exactly as it names itself. May be left out when the credential names it. */
  issuer?: string;
  /** This API's identifier: the URL that callers use, and the `aud` of their tokens. Never taken from the `Host` header. */
  resource: string;
  /** The guard's own identity, or the path of a JSON file with it. Needed to introspect and to fetch the operations. */
  credential?: GuardCredential | string;
  /** What may be done here. Fetched from the identity provider, and kept up to date, unless given. */
  operations?: RegistrationInput['operations'];
  /** With `operations` in code: the scopes for the metadata. Else those that the operations need. */
  scopes?: readonly string[];
  /** With `operations` in code: how tokens for this resource look, if not as usual. */
  token?: RegistrationInput['token'];
  /**
   * With `operations` in code: the id (`res_…`) that this resource is registered under. Tokens for another resource are then refused even where
   * that shares `token.audience`, which another organization's may. **Without it only introspection tells them apart**: an
   * `offline` guard accepts whatever was issued for its audience.
   */
  resourceId?: string;
  /**
   * `introspect` (the default) asks the identity provider about each token, so that a revocation bites after `cacheSeconds`.
   * `offline` never asks: **a revoked token goes on working until it expires, which can take 15 minutes.**
   */
  mode?: 'introspect' | 'offline';
  introspection?: {
    /** How long an answer is believed, counted from the question. 2 by default; 0 asks for every request. */
    cacheSeconds?: number;
    /** Questions under way at once; more are refused with 503. 256 by default. */
    maxConcurrent?: number;
  };
  keys?: {
    /** How often the JWKS is refreshed, give or take a fifth. 300 by default. */
    refreshSeconds?: number;
    /** Between two refreshes, however many unknown keys are named. 10 by default. */
    floorSeconds?: number;
    /** How long known keys are believed when the identity provider can't be reached. 24 hours by default. */
    staleSeconds?: number;
  };
  dpop?: {
    /** How old a proof may be, and how far ahead its clock. 60 and 5 by default. */
    maxAgeSeconds?: number;
    futureSeconds?: number;
    /** `required` makes callers use nonces of this guard: recorded proofs then end with this process. `off` by default. */
    nonce?: 'required' | 'off';
    /** Proofs remembered per `maxAgeSeconds` or so; when there are more, new ones are refused with 503. 200,000 by default. */
    replayCapacity?: number;
    /** How many of them one key alone may fill. A quarter by default. */
    replayCapacityPerKey?: number;
  };
  /** Signature algorithms of access tokens. All of ES256, EdDSA, PS256, RS256 by default. */
  algorithms?: readonly JwsAlgorithm[];
  /** How far the clocks of identity provider and guard may be apart. 5 by default. */
  skewSeconds?: number;
  /** Verified tokens remembered, at least; at most twice as many. 10,000 by default. */
  tokenCapacity?: number;
  /**
   * Tokens can be bound to a client certificate. That of a TLS connection which ends in this process is checked without further ado, if the
   * server asks for it (`requestCert: true`). Where TLS ends at a proxy, the proxy says which certificate it saw (`Client-Cert`, RFC 9440).
   */
  clientCertificate?: {
    /** Addresses or networks of the proxies that are believed. They must remove the header from what clients send. */
    proxies: readonly string[];
  };
  /** Proxies whose `X-Forwarded-For` is believed, as addresses or networks. None by default. */
  trustedProxies?: readonly string[];
  /** Where a proxy has mounted the resource in this process; by default the path of `resource` itself. */
  localPath?: string;
  /** Hears of every decision, for logs and metrics. Must be quick; what it throws changes nothing. */
  onDecision?: (record: DecisionRecord) => void;
  /** Hears of what the operator should know (the identity provider is away, say). A process warning by default. */
  report?: (problem: string) => void;
  /** The wall clock (ms) and the network, for tests. */
  now?: () => number;
  fetch?: typeof globalThis.fetch;
  runtime?: Partial<Runtime>;
}

/** Options with every default in its place, times in ms. */
export interface ResolvedOptions {
  issuer: string;
  resource: { identifier: string; base: string; localPath: string };
  credential: { clientId: string; signer: Signer } | undefined;
  registration: RegistrationInput | undefined;
  mode: 'introspect' | 'offline';
  introspection: { cacheMs: number; maxConcurrent: number };
  keys: { freshMs: number; floorMs: number; staleMs: number };
  dpop: { maxAgeSeconds: number; futureSeconds: number; nonce: boolean; capacity: number; capacityPerKey: number };
  algorithms: readonly JwsAlgorithm[];
  skewSeconds: number;
  tokenCapacity: number;
}

const known = new Set(
  'issuer resource credential operations scopes token resourceId mode introspection keys dpop algorithms skewSeconds tokenCapacity clientCertificate trustedProxies localPath onDecision report now fetch runtime'.split(
    ' ',
  ),
);

/** @throws GuardConfigError saying what to write instead */
export function resolveOptions(options: GuardOptions): ResolvedOptions {
  for (const name of Object.keys(options)) {
    if (!known.has(name)) throw new GuardConfigError(`createGuard knows no option "${name}".`);
  }
  const {
    mode = 'introspect',
    introspection = {},
    keys = {},
    dpop = {},
    skewSeconds = 5,
    tokenCapacity = 10_000,
  } = options;
  const file = credentialFrom(options.credential);
  const issuer = options.issuer ?? file?.issuer;
  if (!isSafeUrl(issuer)) {
    throw new GuardConfigError('issuer must be the URL of the identity provider: https, or http on this machine.');
  }
  if (file?.issuer !== undefined && file.issuer !== issuer) {
    throw new GuardConfigError(`The credential is of ${file.issuer}, but issuer says ${issuer}.`);
  }
  if (mode !== 'introspect' && mode !== 'offline')
    throw new GuardConfigError('mode must be "introspect" or "offline".');
  if (file === undefined && mode === 'introspect') {
    throw new GuardConfigError(
      'To ask about tokens the guard needs a credential of its own: give `credential`, or choose `mode: "offline"`, in which a revoked token goes on working for up to 15 minutes.',
    );
  }
  if (file === undefined && options.operations === undefined) {
    throw new GuardConfigError(
      'The guard must know the operations: give `operations`, or a `credential` to fetch them.',
    );
  }
  const capacity = positive('dpop.replayCapacity', dpop.replayCapacity ?? 200_000);
  return {
    issuer,
    resource: resourceFrom(options.resource, options.localPath),
    credential: file === undefined ? undefined : { clientId: file.client_id, signer: signerOf(file) },
    registration: registrationFrom(options),
    mode,
    introspection: {
      cacheMs: 1000 * between('introspection.cacheSeconds', introspection.cacheSeconds ?? 2, 0, 300),
      maxConcurrent: positive('introspection.maxConcurrent', introspection.maxConcurrent ?? 256),
    },
    keys: {
      freshMs: 1000 * positive('keys.refreshSeconds', keys.refreshSeconds ?? 300),
      floorMs: 1000 * positive('keys.floorSeconds', keys.floorSeconds ?? 10),
      staleMs: 1000 * positive('keys.staleSeconds', keys.staleSeconds ?? 86_400),
    },
    dpop: {
      maxAgeSeconds: between('dpop.maxAgeSeconds', dpop.maxAgeSeconds ?? 60, 1, 3600),
      futureSeconds: between('dpop.futureSeconds', dpop.futureSeconds ?? 5, 0, 300),
      nonce: dpop.nonce === 'required',
      capacity,
      capacityPerKey: positive('dpop.replayCapacityPerKey', dpop.replayCapacityPerKey ?? Math.ceil(capacity / 4)),
    },
    algorithms: algorithmsFrom(options.algorithms),
    skewSeconds: between('skewSeconds', skewSeconds, 0, 60),
    tokenCapacity: positive('tokenCapacity', tokenCapacity),
  };
}

function credentialFrom(credential: GuardOptions['credential']): GuardCredential | undefined {
  if (credential === undefined) return undefined;
  let value: unknown = credential;
  if (typeof credential === 'string') {
    try {
      value = JSON.parse(readFileSync(credential, 'utf8'));
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? 'it is not JSON'; // never the text: there is a key in it
      const file = path.resolve(credential);
      const hint = why === 'ENOENT' ? ' Make the guard with `bailiwick guards create … --key-out FILE`.' : '';
      throw new GuardConfigError(`The guard's credential ${file} can't be read: ${why}.${hint}`);
    }
  }
  const { client_id, jwk } = (value ?? {}) as Partial<GuardCredential>;
  if (typeof client_id !== 'string' || typeof jwk !== 'object') {
    throw new GuardConfigError('credential must be {client_id, jwk}, or the path of a JSON file with them.');
  }
  return value as GuardCredential;
}

function signerOf(credential: GuardCredential): Signer {
  try {
    return signerFrom(credential.jwk);
  } catch (error) {
    throw new GuardConfigError(`credential.jwk can't be used: ${(error as Error).message}.`);
  }
}

function resourceFrom(identifier: unknown, localPath: string | undefined): ResolvedOptions['resource'] {
  if (typeof identifier !== 'string' || !URL.canParse(identifier) || !/^https?:/i.test(identifier)) {
    throw new GuardConfigError('resource must be the URL that callers use for this API, as it is registered.');
  }
  const url = new URL(identifier);
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new GuardConfigError('resource must have no query, fragment or user name.');
  }
  const path = url.pathname.replace(/\/$/, '');
  const local = localPath === undefined ? path : localPath.replace(/\/$/, '');
  if (local !== '' && !local.startsWith('/')) throw new GuardConfigError('localPath must begin with a slash.');
  return { identifier, base: url.origin + path, localPath: local };
}

function registrationFrom({ operations, scopes, token, resourceId }: GuardOptions): RegistrationInput | undefined {
  if (operations === undefined) {
    if (scopes === undefined && token === undefined && resourceId === undefined) return undefined;
    throw new GuardConfigError(
      'scopes, token and resourceId go with operations; without them they come from the registration.',
    );
  }
  if (resourceId !== undefined && !/^res_\w+$/.test(resourceId)) {
    throw new GuardConfigError('resourceId must be the id (res_…) that the resource is registered under.');
  }
  return {
    operations,
    ...(resourceId === undefined ? {} : { id: resourceId }),
    ...(scopes === undefined ? {} : { scopes }),
    ...(token === undefined ? {} : { token }),
  };
}

function algorithmsFrom(algorithms: readonly JwsAlgorithm[] = jwsAlgorithms): readonly JwsAlgorithm[] {
  if (algorithms.length > 0 && algorithms.every(isJwsAlgorithm)) return algorithms;
  throw new GuardConfigError(`algorithms must be some of ${jwsAlgorithms.join(', ')}.`);
}

function positive(name: string, value: number): number {
  return between(name, value, 1, Number.MAX_SAFE_INTEGER);
}

function between(name: string, value: number, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw new GuardConfigError(
    `${name} must be a number from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}.`,
  );
}
