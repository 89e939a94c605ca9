import { type KeyObject, X509Certificate } from 'node:crypto';
import type { ClientRequest, IncomingMessage } from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';
import {
  checkServerIdentity as checkHost,
  createSecureContext,
  getCACertificates,
  type PeerCertificate,
  type SecureContext,
} from 'node:tls';
import { isStream as isStreamed } from './call.ts';
import type { PeerFetch } from './identity.ts';

export interface TlsMaterial {
  /** What is presented to servers that ask for a certificate: the chain as PEM, the leaf first, and its private key. */
  certificate?: { chain: string; key: KeyObject } | undefined;
  /** PEM: authorities that are believed beside those of the Web PKI. */
  ca: readonly string[];
  /** PEM: the authorities of our trust domain. They alone are believed for SPIFFE IDs, and for host names only the issuer's. */
  bundle: readonly string[];
}

/** A fetch whose connections present a certificate, and that ends with it. */
export interface TlsFetch {
  fetch: PeerFetch;
  /** Lets kept connections go; what is under way ends as it would. */
  retire(): void;
}

/** How long a connection that nobody uses is kept: those of a certificate that was renewed go by this, too. */
const idleMs = 15_000;
/** Stands for the issuer where otherwise a SPIFFE ID says who the server must be. */
const issuers = Symbol('issuer');
const maxPeers = 100;
const maxDrained = 65_536;
const withoutBody = new Set([204, 205, 304]);
const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/**
 * `fetch` over `node:https`, since the global one can't present a certificate. Redirects are not followed, nothing is
 * unpacked, and http URLs go to `plain`. With `peer` the server must prove that SPIFFE ID by a certificate of our trust
 * domain, whatever its host is called. `ofIssuer` says that the server is the issuer's: its own authority may vouch for it, since
 * most have no other. Everybody else's host name is proven by other authorities: one of ours may be on any instance's certificate.
 */
export function createTlsFetch(material: TlsMaterial, plain: PeerFetch): TlsFetch {
  const agents = new Map<string | undefined | typeof issuers, https.Agent>();
  const usual = once(() => contextOf(material, usualAuthorities(material.ca)));
  const own = once(() => contextOf(material, usualAuthorities([...material.ca, ...material.bundle])));
  const spiffe = once(() => contextOf(material, material.bundle));

  function agentFor(peer: string | undefined | typeof issuers): https.Agent {
    const known = agents.get(peer);
    if (known !== undefined) return known;
    const agent = new https.Agent({
      keepAlive: true,
      scheduling: 'lifo',
      timeout: idleMs,
      rejectUnauthorized: true, // said, since the environment could switch it off for everybody else
      ...identityOf(peer),
    });
    agents.set(peer, agent);
    if (agents.size > maxPeers) agents.delete(agents.keys().next().value);
    return agent;
  }

  function identityOf(peer: string | undefined | typeof issuers): https.AgentOptions {
    if (peer === undefined) return { secureContext: usual() };
    if (peer === issuers) {
      const checkServerIdentity = (host: string, presented: PeerCertificate) =>
        checkHost(host, presented) ?? notTheIssuers(presented);
      return { secureContext: own(), checkServerIdentity };
    }
    return { secureContext: spiffe(), checkServerIdentity: (_host, presented) => mismatch(presented, peer) };
  }

  return {
    fetch: async (url, init = {}) => {
      if (!url.startsWith('https:') || (init.peer !== undefined && material.bundle.length === 0))
        return plain(url, init);
      const { peer, ofIssuer, ...usualInit } = init;
      const request = new Request(url, usualInit);
      const isStream = request.body !== null && isStreamed(init.body);
      const body = request.body === null || isStream ? undefined : Buffer.from(await request.arrayBuffer());
      for (;;) {
        const outgoing = https.request(url, {
          agent: agentFor(peer ?? (ofIssuer ? issuers : undefined)),
          method: request.method,
          headers: headersOf(request, body),
          ...(init.signal ? { signal: init.signal } : {}),
        });
        try {
          return responseOf(url, request.method, await exchange(outgoing, isStream ? request : undefined, body));
        } catch (error) {
          // A server may close a kept connection just as it is used again: nothing of the request was looked at then.
          const wasClosed = outgoing.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET';
          if (!wasClosed || isStream || !repeatable.has(request.method) || init.signal?.aborted) throw error;
        }
      }
    },
    retire() {
      for (const agent of agents.values()) {
        for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
      }
      agents.clear();
    },
  };
}

function once(make: () => SecureContext): () => SecureContext {
  let made: SecureContext | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function contextOf({ certificate }: TlsMaterial, authorities: readonly string[] | undefined): SecureContext {
  return createSecureContext({
    ...(certificate && {
      cert: certificate.chain,
      key: certificate.key.export({ type: 'pkcs8', format: 'pem' }),
    }),
    ...(authorities && { ca: [...authorities] }),
  });
}

/** Undefined means the Web PKI alone, which costs nothing; any other list takes Node.js some 30 ms to load. */
function usualAuthorities(more: readonly string[]): string[] | undefined {
  return more.length === 0 ? undefined : [...getCACertificates('default'), ...more];
}

/** What is wrong with the certificate of a server that should prove this SPIFFE ID: undefined if nothing is. */
function mismatch(presented: PeerCertificate, peer: string): Error | undefined {
  const uris = urisOf(presented);
  return uris?.length === 1 && uris[0] === `URI:${peer}` ? undefined : otherIdentity();
}

/**
 * What is wrong with the certificate of a server of the issuer's, beside its host name. Our trust domain's authority says in each
 * certificate whose it is, and only the server itself is called so; one without a SPIFFE ID is by another authority.
 */
function notTheIssuers(presented: PeerCertificate): Error | undefined {
  const uris = urisOf(presented);
  if (uris?.every((uri) => !/^URI:spiffe:/i.test(uri))) return undefined;
  return uris?.length === 1 && /^URI:spiffe:\/\/[a-z0-9._-]+\/_bailiwick\/server$/.test(uris[0] as string)
    ? undefined
    : otherIdentity();
}

/** Undefined where somebody plays tricks: Node.js quotes a name with a comma in it, and no SPIFFE ID needs that. */
function urisOf({ raw }: PeerCertificate): string[] | undefined {
  const { subjectAltName = '' } = new X509Certificate(raw);
  return subjectAltName.includes('"')
    ? undefined
    : subjectAltName.split(', ').filter((name) => name.startsWith('URI:'));
}

const otherIdentity = () =>
  Object.assign(new Error('the server proves another identity'), { code: 'ERR_SPIFFE_ID_MISMATCH' });

function headersOf(request: Request, body: Buffer | undefined): Record<string, string> {
  const headers = Object.fromEntries(request.headers);
  headers['accept-encoding'] ??= 'identity';
  headers.accept ??= '*/*';
  if (body !== undefined) headers['content-length'] = String(body.length);
  return headers;
}

function exchange(
  outgoing: ClientRequest,
  streamed: Request | undefined,
  body: Buffer | undefined,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.on('response', resolve).on('error', reject);
    if (streamed?.body == null) {
      outgoing.end(body);
      return;
    }
    const source = Readable.fromWeb(streamed.body as Parameters<typeof Readable.fromWeb>[0]);
    source.on('error', (error) => outgoing.destroy(error)).pipe(outgoing);
    outgoing.on('close', () => source.destroy());
  });
}

function responseOf(url: string, method: string, incoming: IncomingMessage): Response {
  const status = incoming.statusCode ?? 0;
  const headers = new Headers();
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    headers.append(incoming.rawHeaders[index] as string, incoming.rawHeaders[index + 1] as string);
  }
  const isEmpty = method === 'HEAD' || withoutBody.has(status) || incoming.headers['content-length'] === '0';
  // a connection that breaks off disturbs nobody who didn't wait for more
  incoming.on('error', () => {});
  if (isEmpty) incoming.resume();
  try {
    const response = new Response(isEmpty ? null : bodyOf(incoming), { status, headers });
    return Object.defineProperty(response, 'url', { value: url });
  } catch (error) {
    incoming.destroy();
    throw error;
  }
}

/** The body as it comes. One that is let go is read to its end if that is near, so that its connection can be used again. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  const length = Number(incoming.headers['content-length'] ?? Number.NaN);
  return new ReadableStream({
    start(controller) {
      incoming.on('data', (chunk: Buffer) => {
        controller.enqueue(chunk);
        if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
      });
      const stop = (end: () => void) => {
        incoming.removeAllListeners('data');
        end();
      };
      incoming.once('end', () => stop(() => close(controller)));
      incoming.on('error', (error) => stop(() => controller.error(error)));
    },
    pull: () => void incoming.resume(),
    cancel() {
      incoming.removeAllListeners('data');
      if (length <= maxDrained) incoming.resume();
      else incoming.destroy();
    },
  });
}

/** A body that was let go is closed already. */
function close(controller: ReadableStreamDefaultController): void {
  try {
    controller.close();
  } catch {
    // nobody waits for it any more
  }
}
