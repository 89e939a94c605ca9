import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networks } from '@bailiwick/protocol';
import { metadataTeller, requestFrom } from '../adapters/core.ts';
import type { DecisionRecord } from '../decide.ts';
import type { GuardStatus } from '../feed/status.ts';
import { createGuard, type Guard } from '../guard.ts';
import type { GuardOptions } from '../options.ts';
import { pathOf } from '../request.ts';
import { type Checking, check } from './check.ts';
import type { SidecarConfig } from './config.ts';
import { checkPath } from './dialect.ts';
import { type Reply, refusedReply } from './reply.ts';

export interface Sidecar {
  /** Where it listens. */
  url: string;
  guard: Guard;
  /** Finishes what is under way, for at most so long, and ends. What asks meanwhile hears that it isn't ready. */
  close(graceMs?: number): Promise<void>;
}

/** For tests: time and network in place of the system's. */
export type SidecarSeams = Pick<GuardOptions, 'runtime' | 'operations' | 'detailsTypes'>;

/**
 * The guard that a configuration describes. Its decisions and problems go to `write`, one JSON object each, and hold no secret.
 * @throws GuardConfigError
 */
export function guardOf(config: SidecarConfig, write: (line: object) => void, seams: SidecarSeams = {}): Guard {
  const { issuer, localPath, zones, countryFile, cacheSeconds, trustedProxies, askFrom } = config;
  const at = (ms: number) => new Date(ms).toISOString();
  const onDecision = ({ at: ms, ...record }: DecisionRecord) => {
    if (config.log === 'refused' && record.outcome === 'allowed') return;
    write({ time: at(ms), event: 'decision', ...record });
  };
  const guard: Guard = createGuard({
    resource: config.resource,
    credential: config.credential,
    mode: config.mode,
    ...(config.whenLost === undefined ? {} : { feed: { whenLost: config.whenLost } }),
    dpop: { nonce: config.nonce },
    demands: config.demands,
    ...(config.transactions === undefined ? {} : { transactions: { trustDomain: config.transactions } }),
    trustedProxies,
    forwardedHeader: 'x-forwarded-for',
    ...(askFrom === undefined ? {} : { continuous: askFrom === 'never' ? false : { from: askFrom } }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(localPath === undefined ? {} : { localPath }),
    ...(zones === undefined ? {} : { zones }),
    ...(countryFile === undefined ? {} : { countryFile }),
    ...(cacheSeconds === undefined ? {} : { introspection: { cacheSeconds } }),
    ...(config.clientCertificates ? { clientCertificate: { proxies: trustedProxies } } : {}),
    ...(config.log === 'none' ? {} : { onDecision }),
    reports: config.reports === 'off' ? false : config.reports === 'memory' ? {} : { directory: config.reports.folder },
    report: (problem) => write({ time: at(guard.now()), event: 'problem', problem }),
    ...seams,
  });
  return guard;
}

/**
 * Starts to answer a proxy's questions.
 * @throws Error of `node:net` when it can't listen there
 */
export async function startSidecar(config: SidecarConfig, guard: Guard): Promise<Sidecar> {
  const { proxy, clientCertificates, trustedProxies, listen } = config;
  const checking: Checking = { guard, proxy, clientCertificates, isProxy: networks(trustedProxies) };
  let closing = false;
  const isReady = async () => !closing && (await guard.ready().then(yes, no));
  const answer = answering(checking, isReady);
  const server = createServer({ maxHeaderSize: 65_536, requestTimeout: 30_000 }, (request, response) => {
    request.resume(); // bodies are none of our business, and Envoy can send them along
    answer(request).then(
      (reply) => send(response, reply, closing),
      (error: unknown) => {
        guard.report(`A question could not be answered: ${error instanceof Error ? error.stack : String(error)}`);
        send(response, refusedReply(proxy, { allowed: false, status: 500, headers: {}, body: '' }), closing);
      },
    );
  });
  await listening(server, listen);
  const { address, port } = server.address() as AddressInfo;
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
    guard,
    async close(graceMs = 10_000) {
      closing = true;
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      const patience = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(patience);
      // what is under way is decided by what it knows, and reported
      await guard.close();
    },
  };
}

const yes = () => true;
const no = () => false;

/** By its path: the proxy's questions, the resource's metadata for everybody, and how the sidecar is. */
function answering(checking: Checking, isReady: () => Promise<boolean>): (request: IncomingMessage) => Promise<Reply> {
  const { guard, proxy } = checking;
  const isMetadata = metadataTeller(guard);
  return async (request) => {
    const path = pathOf(request.url ?? '');
    if (path === checkPath || (proxy === 'envoy' && path.startsWith(`${checkPath}/`))) return check(checking, request);
    if (path === '/healthz') return plain(200, { status: 'ok', ...wireStatus(guard.status()) });
    if (path === '/readyz')
      return (await isReady()) ? plain(200, { status: 'ready' }) : plain(503, { status: 'not ready' });
    if (!isMetadata(request.url ?? '')) return plain(404, { status: 404, title: `Ask at ${checkPath}` });
    const decision = await guard.decide(requestFrom(request));
    if (decision.allowed) throw new Error('the metadata is no operation');
    return { status: decision.status, headers: decision.headers as Reply['headers'], body: decision.body };
  };
}

function wireStatus({ mode, feed }: GuardStatus): object {
  if (feed === undefined) return { mode };
  const { lease, whenLost, ...rest } = feed;
  const { grantedMs, leftMs } = lease;
  return { mode, feed: { ...rest, lease_ms: grantedMs, lease_left_ms: leftMs, when_lost: whenLost } };
}

function plain(status: number, body: object): Reply {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function send(response: ServerResponse, { status, headers, body }: Reply, closing: boolean): void {
  response.writeHead(status, { ...headers, ...(closing ? { connection: 'close' } : {}) });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

function listening(server: Server, { host, port }: SidecarConfig['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
