import type { IncomingMessage, ServerResponse } from 'node:http';
import { createAgent } from '@bailiwick/agent';
import {
  jwsAlgorithms,
  networks,
  type Operation,
  protectedResourceMetadataUrl,
  replayMemory,
} from '@bailiwick/protocol';
import { ask, requestFrom } from './adapters/core.ts';
import { nodeHandler, type Route } from './adapters/node.ts';
import { reaches } from './allow.ts';
import type { CertificateSources } from './certificate.ts';
import { continuousCheck } from './continuous.ts';
import {
  type Core,
  type Decision,
  decide,
  decideOn,
  operationOf,
  refuseVerified,
  verifyAlone,
  verifyOnceMore,
  type Wanted,
  type WantedOperation,
} from './decide.ts';
import { followFeed } from './feed/follow.ts';
import { type GuardStatus, statusOf } from './feed/status.ts';
import { introspector } from './introspection.ts';
import { loadIssuer } from './issuer.ts';
import { fetchJson } from './json-client.ts';
import { GuardConfigError, type GuardOptions, type ResolvedOptions } from './options.ts';
import { placesFrom } from './places.ts';
import { nonceMaker } from './proof.ts';
import { reachable } from './reachable.ts';
import { type Refreshed, refreshed } from './refreshed.ts';
import type { Answer, Refusal } from './refusal.ts';
import { type Registration, readRegistration, registrationOf } from './registration.ts';
import { createReporter } from './reports/reporter.ts';
import type { GuardRequest } from './request.ts';
import { resolveOptions } from './resolve-options.ts';
import { type Runtime, reportingOnce, systemRuntime } from './runtime.ts';
import { tokenVerifier } from './tokens.ts';
import type { Verified } from './verify.ts';

/** Stands before a resource and lets pass what its registration lists, for those who may. */
export interface Guard {
  readonly resource: string;
  /** Where the resource's metadata has to be found: the guard answers there itself. */
  readonly metadataUrl: string;
  /** Decides about a request given as plain data. Never throws. For adapters. */
  decide(request: GuardRequest): Promise<Decision>;
  /** Decides about a request of `node:http`. Never throws. Give what isn't allowed to `sendAnswer`. */
  check(request: IncomingMessage): Promise<Decision>;
  /**
   * The first half of a decision alone: who calls, and that the token holds here. For protocols in which the URL doesn't say what
   * is wanted. Never throws; what isn't verified is an answer to be sent (a refusal, or the resource's metadata).
   * A proof is spent by it: once per request.
   */
  verify(request: GuardRequest): Promise<Verified | Answer>;
  /**
   * Whether what was verified still holds: that the token is accepted, here and now, and stands. It takes no new proof. For adapters that had to wait after
   * `verify`, for a body say, or that go on telling a caller things. Never throws; a refusal is recorded.
   */
  verifyAgain(verified: Verified): Promise<Verified | Answer>;
  /**
   * The second half: whether a verified caller may do this operation, or call this tool, with these parameters. Any number of times for one
   * verified request; each is one decision, and is recorded as one. Never throws.
   */
  allows(verified: Verified, wanted: Wanted): Promise<Decision>;
  /**
   * Whether the token reaches this operation with some parameters at least. Nobody is asked and nothing is recorded: it is for leaving out what a
   * caller can't use anyway, and decides nothing.
   */
  reaches(verified: Verified, wanted: WantedOperation): boolean;
  /**
   * Which of these the caller may do at this moment, with some parameters at least: what the token reaches and, where an operation is one that is asked
   * about (`continuous`), the decision point says yes to. No answer is a no. For lists: it decides nothing. Never throws.
   */
  reachable(verified: Verified, wanted: readonly WantedOperation[]): Promise<boolean[]>;
  /** The answer for what an adapter itself refuses of a verified request; recorded like every refusal. Never throws. */
  refuse(verified: Verified, refusal: Refusal, operation?: Operation): Answer;
  /**
   * What is known at this moment, without asking anybody, of whether the token of a verified request stands: for right before something comes of it.
   * Undefined in modes that ask, and `false` where it isn't known: then `verifyAgain` says.
   */
  standsNow(verified: Verified): boolean | undefined;
  /** How the guard learns what was revoked, and how that is going: for health checks and metrics. */
  status(): GuardStatus;
  /** Tells the operator of this API what is wrong; the same at most once a minute. Never called with a secret. */
  report(problem: string): void;
  /** The guard's clock, ms since 1970. */
  now(): number;
  /** What the resource lists under the name of a tool. @throws Unavailable while the operations can't be known */
  tool(name: string): Promise<Operation | undefined>;
  /** Wraps a handler of `node:http`: it is called only for what is allowed, with the caller as its third argument. */
  node(route: Route): (request: IncomingMessage, response: ServerResponse) => void;
  /**
   * Resolves once keys and operations are known, and what was revoked; so a start can wait. Requests wait by themselves.
   * @throws Unavailable when the identity provider can't be reached, or the feed can't be followed and the resource chose to refuse then
   */
  ready(): Promise<void>;
  /**
   * Writes down what there is to report, and sends it, as far as the identity provider answers. It is done all the time anyway: this is for processes
   * that are frozen between requests. Never throws.
   */
  flush(): Promise<void>;
  /** Ends what goes on in the background: refreshing, and following the feed. Resolves once what is left to report is sent, or put away. */
  close(): Promise<void>;
}

/** How often it is looked whether something is due; that has its own, spread times. */
const backgroundMs = 15_000;
const operationsFreshMs = 60_000;
const operationsFloorMs = 5_000;
const notOurs = 'is the credential that of a guard of this resource?';
const selfOptions = { timeoutMs: 10_000, hints: { 403: notOurs, 404: notOurs } };

/**
 * Makes the guard of one resource.
 *
 * By default it follows the feed: it verifies every token itself, and hears of what is revoked within milliseconds. `mode: 'introspect'` asks the
 * identity provider about each token, at most every two seconds, and so does the default where that has no feed yet. `mode: 'offline'` hears of
 * nothing, and is up to 15 minutes late.
 * @throws GuardConfigError saying what to write instead
 */
export function createGuard(options: GuardOptions): Guard {
  const settings = resolveOptions(options);
  const runtime = runtimeOf(options);
  const { identifier } = settings.resource;
  const metadataUrl = protectedResourceMetadataUrl(identifier);
  const issuerState = refreshed({
    runtime,
    load: (previous: Parameters<typeof loadIssuer>[2]) => loadIssuer(runtime, settings.issuer, previous),
    ...settings.keys,
  });
  const registration = registrationSource(settings, runtime);
  const { credential, mode, dpop } = settings;
  const continuous =
    settings.continuous && credential
      ? continuousCheck({
          runtime,
          issuer: settings.issuer,
          resource: identifier,
          credential,
          settings: settings.continuous,
        })
      : undefined;
  const introspect =
    mode === 'offline' || credential === undefined
      ? undefined
      : introspector({ runtime, issuer: settings.issuer, issuerState, ...credential, ...settings.introspection });
  const following =
    mode === 'feed' && credential !== undefined && introspect !== undefined
      ? followFeed({ runtime, settings, credential, issuerState, registration, introspect })
      : undefined;
  const core: Core = {
    runtime,
    issuer: settings.issuer,
    resource: { ...settings.resource, metadataUrl, metadataPath: new URL(metadataUrl).pathname },
    algorithms: jwsAlgorithms,
    registration,
    tokens: tokenVerifier({
      issuer: settings.issuer,
      issuerState,
      algorithms: settings.algorithms,
      skewSeconds: settings.skewSeconds,
      capacity: settings.tokenCapacity,
    }),
    proof: {
      maxAgeSeconds: dpop.maxAgeSeconds,
      futureSeconds: dpop.futureSeconds,
      replay: replayMemory({
        // A second more than a proof can pass, since `iat` counts in whole seconds.
        windowMs: 1000 * (dpop.maxAgeSeconds + dpop.futureSeconds + 1),
        futureMs: 1000 * dpop.futureSeconds,
        perGeneration: dpop.capacity,
        perKey: dpop.capacityPerKey,
      }),
      nonces: dpop.nonce ? nonceMaker(runtime.random(32)) : undefined,
    },
    standing: following?.standing.stands ?? introspect,
    feed: following?.standing,
    // the decision point knows roles of agents, and those who call from outside have none inside
    continuous:
      continuous &&
      ((verified, asked) => (verified.scheme === 'Txn-Token' ? undefined : continuous.check(verified, asked))),
    certificates: certificateSources(options),
    places: placesFrom(options),
    demands: settings.demands,
    transactions: settings.transactions,
    onDecision: options.onDecision,
    reports:
      settings.reports &&
      credential &&
      createReporter({
        runtime,
        issuer: settings.issuer,
        resource: identifier,
        credential,
        settings: settings.reports,
      }),
    isAnswerHeld: (token, address) => introspect?.holds(token, address) === true,
    knownBy: (token) => (following === undefined ? mode : following.standing.known(token) ? 'feed' : 'introspect'),
  };

  const stop = runtime.every(backgroundMs, () => {
    issuerState.peek();
    registration.peek();
    void continuous?.warm();
    following?.client.start();
  });
  const guard: Guard = {
    resource: identifier,
    metadataUrl,
    decide: (request) => decide(core, request),
    check: (request) => ask(guard, () => requestFrom(request)),
    verify: (request) => verifyAlone(core, request),
    verifyAgain: (verified) => verifyOnceMore(core, verified),
    allows: (verified, wanted) => decideOn(core, verified, wanted),
    reaches: (verified, wanted) => {
      const operation = operationOf(verified, wanted);
      return operation !== undefined && reaches(core, verified, operation);
    },
    reachable: (verified, wanted) =>
      reachable(
        core,
        verified,
        wanted.map((each) => operationOf(verified, each)),
      ),
    refuse: (verified, refusal, operation) => refuseVerified(core, verified, refusal, operation),
    standsNow: ({ token }) =>
      following?.standing.follows() === true ? following.standing.known(token) === true : undefined,
    status: () => statusOf(mode, following),
    report: runtime.report,
    now: runtime.now,
    tool: async (name) => (registration.peek() ?? (await registration.get())).operationOfTool(name),
    node: (route) => nodeHandler(guard, route, runtime.report),
    async ready() {
      await Promise.all([issuerState.get(), registration.get()]);
      await continuous?.warm();
      await following?.ready();
    },
    flush: async () => core.reports?.flush(),
    async close() {
      stop();
      following?.client.close();
      await core.reports?.close();
    },
  };
  return guard;
}

/** The operations: given in code, or fetched with the guard's own identity and refreshed every minute. */
function registrationSource(settings: ResolvedOptions, runtime: Runtime): Refreshed<Registration> {
  const { issuer, resource, credential, registration, demands } = settings;
  const unlisted = (read: Registration) => demands.operations.find((name) => read.operationNamed(name) === undefined);
  if (registration !== undefined) {
    const given = registrationOf(resource.identifier, registration);
    const name = unlisted(given);
    if (name !== undefined)
      throw new GuardConfigError(`demands.operations names "${name}", which operations does not.`);
    return fixed(given);
  }
  if (credential === undefined) throw new GuardConfigError('Without operations the guard needs a credential.');
  const api = `${issuer.replace(/\/$/, '')}/admin`;
  const agent = createAgent({
    issuer,
    resource: api,
    clientId: credential.clientId,
    key: credential.signer,
    fetch: runtime.fetch,
    now: runtime.now,
  });
  const url = `${api}/v1/guards/self`;
  return refreshed<Registration>({
    runtime,
    load: async (previous) => {
      const answer = await fetchJson(
        { fetch: (input, init) => agent.fetch(input as string, init) },
        url,
        {},
        selfOptions,
      );
      const read = readRegistration(resource.identifier, answer, previous);
      const name = unlisted(read);
      if (name !== undefined) runtime.report(`demands.operations names "${name}", which is not registered.`);
      return read;
    },
    freshMs: operationsFreshMs,
    floorMs: operationsFloorMs,
    staleMs: Number.POSITIVE_INFINITY, // an outage is bounded by the age of the keys
  });
}

function fixed<Value>(value: Value): Refreshed<Value> {
  return { peek: () => value, get: async () => value, renew: async () => true };
}

function runtimeOf(options: GuardOptions): Runtime {
  const { now, fetch, report } = options;
  const own = fetch ?? options.runtime?.fetch;
  const runtime: Runtime = {
    ...systemRuntime,
    ...(own === undefined ? {} : { follow: own }),
    ...options.runtime,
    ...(now === undefined ? {} : { now }),
    ...(fetch === undefined ? {} : { fetch }),
    ...(report === undefined ? {} : { report }),
  };
  return { ...runtime, report: reportingOnce(runtime) };
}

function certificateSources({ clientCertificate }: GuardOptions): CertificateSources {
  if (clientCertificate === undefined) return { hasProxies: false, isProxy: () => false };
  const { proxies, ...others } = clientCertificate ?? {};
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new GuardConfigError(`clientCertificate knows no member "${unknown}".`);
  if (!Array.isArray(proxies) || proxies.length === 0) {
    throw new GuardConfigError('clientCertificate.proxies must list the addresses of the proxies that end TLS.');
  }
  if (proxies.some((entry) => /\/0+$/.test(entry))) {
    throw new GuardConfigError(
      'clientCertificate.proxies: a network of everybody would let everybody name a certificate.',
    );
  }
  try {
    return { hasProxies: true, isProxy: networks(proxies) };
  } catch (error) {
    throw new GuardConfigError(`clientCertificate.proxies: ${(error as Error).message}.`);
  }
}
