import type { ForwardedHeader, JwsAlgorithm, PrivateJwk, Sensitivity, Signer } from '@bailiwick/protocol';
import type { ContinuousSettings } from './continuous.ts';
import type { DecisionRecord } from './decide.ts';
import type { DemandsHeld, GuardDemands } from './demands.ts';
import type { RegistrationInput } from './registration.ts';
import type { ReportSettings } from './reports/settings.ts';
import type { Runtime } from './runtime.ts';
import type { TransactionsTaken } from './transaction.ts';

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

/** How a guard learns that a token has ended before its time. */
export type GuardMode = 'feed' | 'introspect' | 'offline';

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
  /** With `operations` in code: the types of `authorization_details` that they need, and how each is compared. */
  detailsTypes?: RegistrationInput['detailsTypes'];
  /** With `operations` in code: how tokens for this resource look, if not as usual. */
  token?: RegistrationInput['token'];
  /**
   * With `operations` in code: the id (`res_…`) that this resource is registered under. Tokens for another resource are then refused even where
   * that shares `token.audience`, which another organization's may. **Without it only introspection tells them apart**: an
   * `offline` guard accepts whatever was issued for its audience.
   */
  resourceId?: string;
  /**
   * `feed` (the default) follows what is revoked, so that a revocation bites within milliseconds and nobody is asked about tokens; identity providers of
   * before have no feed, and are asked. `introspect` asks the identity provider about each token, so that a revocation bites after `cacheSeconds`.
   * `offline` never asks: **a revoked token goes on working until it expires, which can take 15 minutes.**
   */
  mode?: GuardMode;
  feed?: {
    /**
     * While it can't be known what was revoked, because the lease of the feed has run out: `refuse` every request (503), or `introspect` each token. The
     * resource chose already (`feed.when_lost` of its registration), and this can only be stricter.
     */
    whenLost?: 'refuse';
    /** Revocations remembered at most. Beyond it the oldest are forgotten, and tokens that are older are asked about. 200,000 by default. */
    capacity?: number;
  };
  introspection?: {
    /** How long an answer is believed, counted from the question, and revocations wait to be acknowledged. 2 by default, 27 at most; 0 asks for every request. */
    cacheSeconds?: number;
    /** Questions under way at once; more are refused with 503. 256 by default. */
    maxConcurrent?: number;
  };
  /**
   * Before operations at least as sensitive as `from` (`high` by default) the identity provider is asked whether they are allowed here and
   * now: policies, roles and tasks can have changed since the token was issued. Nothing is remembered, and no answer means no (503). Needs a
   * credential; `offline` guards don't ask, and with `operations` in code it has to be asked for: they must be registered, too, or the answer is no.
   * `false` leaves it out.
   */
  continuous?:
    | {
        from?: Sensitivity;
        /** How long an answer is waited for. 250 ms by default. */
        budgetMs?: number;
        /** How long a question waits for others to travel with. 2 ms by default. */
        batchMs?: number;
        /** Requests under way at once; what comes beyond is refused with 503. 64 by default. */
        maxConcurrent?: number;
      }
    | false;
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
  /** Proxies that are believed when they say from whom a request came, as addresses or networks. None by default. */
  trustedProxies?: readonly string[];
  /**
   * The one header in which those proxies say it: `x-forwarded-for` (the default) or `forwarded` (RFC 7239). The other is never read: a proxy
   * rewrites the one that it knows, and lets through what anybody writes into the other.
   */
  forwardedHeader?: ForwardedHeader;
  /**
   * An MMDB file with the countries of addresses, for tokens that are limited to countries; by default the one of the npm package
   * `@ip-location-db/geo-whois-asn-country-mmdb`. Read when the first such token comes.
   */
  countryFile?: string;
  /**
   * Your compute zones, each with its networks, for tokens that are limited to zones. Who is in none of a zone's networks is not in it; of
   * zones that aren't named here, the token itself says which one its instance is in.
   */
  zones?: Readonly<Record<string, readonly string[]>>;
  /**
   * On whose authority callers may come, of everybody or for single operations: a person's (`person`), through how many agents (`maxDepth`), through none of these
   * (`without`). Who comes otherwise is refused (403), and tools of MCP are not shown to them.
   */
  demands?: GuardDemands;
  /**
   * For a service inside of a trust domain: it takes transaction tokens (header `Txn-Token`) that its resource is named for, issued by the same identity
   * provider for `trustDomain`. They are bound to nobody and pass from service to service: keep the network that they travel on to your services. Policy was asked
   * when they were issued, five minutes ago at most, and `continuous` doesn't ask about them. Needs `resourceId` with `operations` in code.
   */
  transactions?: {
    /** As the identity provider has it: `bailiwick_trust_domain` of its metadata. */
    trustDomain: string;
    /**
     * `refuse` (the default): nothing but transactions comes in, and a request that brings an access token as well is refused: none travels inward.
     * `accept`: access tokens do without a transaction token, too. Never both in one request.
     */
    accessTokens?: 'refuse' | 'accept';
  };
  /** Where a proxy has mounted the resource in this process; by default the path of `resource` itself. */
  localPath?: string;
  /**
   * Every decision about a good token is reported to the identity provider, whose log then tells what tokens were used for; refusals of strangers are
   * counted by minute and reported as one line. On by default where there is a credential; `false` leaves it out. No request waits for it. While
   * the identity provider is away reports wait: nothing that is kept is dropped for something newer, refusals fill half of the room at most, what is
   * a week old is dropped, and how many were lost is reported too.
   */
  reports?:
    | {
        /** Where they wait on disk, for their owner alone: they outlive this process. In memory alone without it. */
        directory?: string;
        /** The most on disk, by each process, in bytes. 64 MB by default. */
        maxBytes?: number;
        /** The most in memory, in bytes. 4 MB by default. */
        maxMemory?: number;
        /** How often they are written down and sent, in ms: as much is lost when the process is killed. 1000 by default. */
        flushMs?: number;
        /** Whether they say from which address a request came; the log seals it. True by default. */
        address?: boolean;
      }
    | false;
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
  demands: DemandsHeld;
  transactions: TransactionsTaken | undefined;
  mode: GuardMode;
  feed: { whenLost: 'refuse' | undefined; capacity: number };
  introspection: { cacheMs: number; maxConcurrent: number };
  continuous: ContinuousSettings | undefined;
  keys: { freshMs: number; floorMs: number; staleMs: number };
  dpop: { maxAgeSeconds: number; futureSeconds: number; nonce: boolean; capacity: number; capacityPerKey: number };
  algorithms: readonly JwsAlgorithm[];
  skewSeconds: number;
  tokenCapacity: number;
  reports: ReportSettings | undefined;
}
