/** The composition root of the server: everything is made here once, and handed down. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type JwsAlgorithm, jwsAlgorithms } from '@bailiwick/protocol';
import Fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { firstStart } from './admin/first-start.ts';
import { adminRoutes } from './admin/routes.ts';
import { openAudit } from './audit/audit.ts';
import { dpopNonces } from './client-auth/dpop-nonce.ts';
import type { Config } from './config.ts';
import { newBudgets } from './decide/budget.ts';
import { delegateRoutes } from './delegate/routes.ts';
import type { Deps } from './deps.ts';
import { answersItself } from './drills/self.ts';
import { enrolRoutes } from './enrol/routes.ts';
import { runExporters } from './exports/run.ts';
import { feedRoutes } from './feed/routes.ts';
import { stopFeed } from './feed-leases/feed.ts';
import { healthRoutes } from './health.ts';
import { startJobs } from './jobs.ts';
import { makeFirstAuthority } from './keys/ca.ts';
import { encryptAtRest, openEncryption } from './keys/encryption.ts';
import { makeFirstKeys, newKeys } from './keys/keys.ts';
import { type Clock, systemClock } from './lib/clock.ts';
import { newFailures } from './lib/failures.ts';
import type { Logger } from './lib/log.ts';
import { openPlaces } from './lib/places.ts';
import { systemRandom } from './lib/random.ts';
import { safeConnect } from './lib/safe-connect.ts';
import { type Resolve, safeFetch } from './lib/safe-fetch.ts';
import { type Listeners, listen } from './listen.ts';
import { newConsumers } from './log/consumers.ts';
import type { CertificateSource } from './mutual-tls.ts';
import { endpointUrl } from './oauth/endpoints.ts';
import { oauthRoutes } from './oauth/routes.ts';
import { orchestrateRoutes } from './orchestrate/routes.ts';
import { pdpRoutes } from './pdp/routes.ts';
import { reportRoutes } from './reports/routes.ts';
import { ownCertificate } from './server-certificate.ts';
import { stopWaiting } from './signals/poll.ts';
import { receiverRoutes, transmitterRoutes } from './signals/routes.ts';
import { startSignals } from './signals/run.ts';
import { spiffeRoutes } from './spiffe/routes.ts';
import { lockData } from './store/data-lock.ts';
import { migrate } from './store/migrate.ts';
import { openDatabase } from './store/open.ts';
import { sharedSecret } from './store/secrets.ts';
import { serviceMetadata } from './web/service.ts';

export interface RunningServer {
  issuer: string;
  /** Where it listens, as URLs. */
  addresses: string[];
  /** Where it listens for mutual TLS, if it does: the base of the endpoints as metadata names them, and the sockets. */
  mtls: { url: string | undefined; port: number; addresses: string[] } | undefined;
  deps: Deps;
  /** What the first start made, if this was it: the file with the operator's key. */
  operatorFile: string;
  firstStart: boolean;
  /** Stops accepting, lets requests finish for as long as the configuration allows, then closes the data. */
  close(): Promise<void>;
}

/** What tests own, and the real world has by itself. */
export interface World {
  clock?: Clock;
  log?: Logger;
  /** What a first start makes signing keys for: all, unless a test has no time for RSA. */
  algorithms?: readonly JwsAlgorithm[];
  /** Whether this server has the data folder to itself, as it must unless a test wants races on one SQLite. */
  alone?: boolean;
  /** Whom names lead to when this server fetches something. */
  resolve?: Resolve;
}

/**
 * Starts a server: opens the data, brings the schema up to date, makes what a first start makes, and answers.
 * @throws Error with a sentence that says what to do: a port in use, data that can't be opened
 */
export async function start(config: Config, world: World = {}): Promise<RunningServer> {
  const log = world.log ?? pino({ level: config.log_level });
  let handle = starting;
  const certificate = ownCertificate(config);
  const listeners = await listen(config, (request, response) => handle(request, response), certificate.current);
  let unlock = () => {};
  try {
    const bound = withPorts(config, listeners);
    if (config.database_url === undefined && world.alone !== false) unlock = lockData(config.data); // PostgreSQL takes any number of nodes
    const deps = await openDeps(bound, { ...world, clock: world.clock ?? systemClock, log });
    try {
      const made = await firstStart(deps);
      const app = createApp(deps, listeners.mtls && certificate.current);
      await app.ready();
      handle = (request, response) => app.routing(request, response);
      certificate.ready(deps);
      const jobs = startJobs(deps);
      const signals = startSignals(deps);
      const exporters = runExporters(deps);
      // what was erased before a crash goes from the files too
      deps.db.dropOverwritten().catch((err) => log.error({ err }, 'the database’s journal was not emptied'));
      return {
        issuer: bound.issuer,
        addresses: listeners.addresses,
        mtls: listeners.mtls && { url: bound.mtls.url, ...listeners.mtls },
        deps,
        operatorFile: made.operatorFile,
        firstStart: made.created,
        async close() {
          await stopFeed(deps); // its streams never end by themselves
          stopWaiting(deps);
          await listeners.close(config.shutdown_grace_seconds * 1000);
          await exporters.stop();
          await signals.stop();
          await deps.consumers.stop();
          await jobs.stop();
          await app.close();
          await deps.db.close();
          unlock();
        },
      };
    } catch (error) {
      await deps.db.close();
      throw error;
    }
  } catch (error) {
    unlock();
    await listeners.close(0);
    throw error;
  }
}

/** Opens everything that a server works with. The caller closes `db`. */
export async function openDeps(config: Config, world: World & { clock: Clock; log: Logger }): Promise<Deps> {
  const { clock, log } = world;
  const random = systemRandom();
  const places = openPlaces(config);
  const db = await openDatabase(config, { onError: (err) => log.error({ err }, 'the database connection failed') });
  try {
    await migrate({ db, clock });
    const encryption = await openEncryption(config, random);
    if ((await encryptAtRest({ db, encryption })) > 0) await db.dropOverwritten();
    const base = {
      config,
      db,
      clock,
      random,
      log,
      encryption,
      places,
      fetch: safeFetch(config, world.resolve),
      connect: safeConnect(config, world.resolve),
    };
    const deps: Deps = {
      ...base,
      keys: newKeys(),
      audit: await openAudit(base),
      consumers: newConsumers(base),
      budgets: newBudgets(),
      nonces: dpopNonces(await sharedSecret(base, 'dpop-nonce'), config.dpop.nonce_lifetime_seconds),
      failures: newFailures(),
    };
    await makeFirstKeys(deps, world.algorithms ?? jwsAlgorithms);
    await makeFirstAuthority(deps);
    return deps;
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** Of a path, in characters: the name of a feed session says all that a node has to know of it. */
const longestParameter = 1024;

/** All that answers requests, without a socket. `certificate` is what the listener for mutual TLS shows, if there is one. */
export function createApp(deps: Deps, certificate?: CertificateSource): FastifyInstance {
  const { config } = deps;
  const app = Fastify({
    logger: false, // what is worth a line is logged where it happens; request lines would hold what nobody should read
    bodyLimit: config.limits.body_bytes,
    routerOptions: { maxParamLength: longestParameter },
  });
  app.register(oauthRoutes(deps));
  app.register(enrolRoutes(deps));
  app.register(spiffeRoutes(deps));
  app.register(serviceMetadata(deps));
  app.register(orchestrateRoutes(deps));
  app.register(delegateRoutes(deps));
  app.register(pdpRoutes(deps));
  app.register(transmitterRoutes(deps, endpointUrl(config, 'jwks')));
  app.register(receiverRoutes(deps));
  app.register(feedRoutes(deps));
  app.register(reportRoutes(deps));
  app.register(adminRoutes(deps));
  app.register(healthRoutes(deps, certificate));
  answersItself(deps, async ({ method, url, headers, body }) => {
    const { pathname, search } = new URL(url);
    const { host } = new URL(config.issuer);
    const request = { method: method as 'GET', url: pathname + search, headers: { host, ...headers } };
    const answer = await app.inject(body === undefined ? request : { ...request, payload: body });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body };
  });
  return app;
}

/** The configuration with the ports that are really listened on, where it left them open. */
function withPorts(config: Config, { port, mtls }: Listeners): Config {
  const issuer = config.port === 0 ? config.issuer.replace(/:0$/, `:${port}`) : config.issuer;
  if (!mtls || config.mtls.port !== 0) return { ...config, issuer };
  const url = config.mtls.url?.replace(/:0(?=\/|$)/, `:${mtls.port}`);
  return { ...config, issuer, mtls: { ...config.mtls, port: mtls.port, url } };
}

/** The answer while the data is being opened. */
function starting(_: IncomingMessage, response: ServerResponse): void {
  response.writeHead(503, { 'retry-after': '1', 'content-type': 'application/json', connection: 'close' });
  response.end('{"status":"starting"}');
}
