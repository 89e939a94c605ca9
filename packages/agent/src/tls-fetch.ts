import { type KeyObject, X509Certificate } from 'node:crypto';
import type { ClientRequest, IncomingMessage } from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';
import { createSecureContext, getCACertificates, type PeerCertificate, type SecureContext } from 'node:tls';
import { isStream as isStreamed } from './call.ts';
import type { PeerFetch } from './identity.ts';

export interface TlsMaterial {
  /** What is presented to servers that ask for a certificate: the chain as PEM, the leaf first, and its private key. */
  certificate?: { chain: string; key: KeyObject } | undefined;
  /** PEM: authorities that are believed beside those of the Web PKI. */
  ca: readonly string[];
  /** PEM: the authorities of our trust domain. They are believed as the others are, and they alone for SPIFFE IDs. */
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
const maxPeers = 100;
const maxDrained = 65_536;
const withoutBody = new Set([204, 205, 304]);
const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/**
 * `fetch` over `node:https`, since the global one can't present a certificate. Redirects are not followed, nothing is
 * unpacked, and http URLs go to `plain`. With `peer` the server must prove that SPIFFE ID by a certificate of our trust
 * domain, whatever its host is called.
 */
export function createTlsFetch(material: TlsMaterial, plain: PeerFetch): TlsFetch {
  const agents = new Map<string | undefined, https.Agent>();
  const usual = once(() => contextOf(material, usualAuthorities(material)));
  const spiffe = once(() => contextOf(material, material.bundle));

  function agentFor(peer: string | undefined): https.Agent {
    const known = agents.get(peer);
    if (known !== undefined) return known;
    const agent = new https.Agent({
      keepAlive: true,
      scheduling: 'lifo',
      timeout: idleMs,
      rejectUnauthorized: true, // said, since the environment could switch it off for everybody else
      ...(peer === undefined
        ? { secureContext: usual() }
        : {
            secureContext: spiffe(),
            checkServerIdentity: (_host: string, presented: PeerCertificate) => mismatch(presented, peer),
          }),
    });
    agents.set(peer, agent);
    if (agents.size > maxPeers) agents.delete(agents.keys().next().value);
    return agent;
  }

  return {
    fetch: async (url, init = {}) => {
      if (!url.startsWith('https:') || (init.peer !== undefined && material.bundle.length === 0))
        return plain(url, init);
      const { peer, ...usualInit } = init;
      const request = new Request(url, usualInit);
      const isStream = request.body !== null && isStreamed(init.body);
      const body = request.body === null || isStream ? undefined : Buffer.from(await request.arrayBuffer());
      for (;;) {
        const outgoing = https.request(url, {
          agent: agentFor(peer),
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
function usualAuthorities({ ca, bundle }: TlsMaterial): string[] | undefined {
  if (ca.length === 0 && bundle.length === 0) return undefined;
  return [...getCACertificates('default'), ...ca, ...bundle];
}

/** What is wrong with the certificate of a server that should prove this SPIFFE ID: undefined if nothing is. */
function mismatch(presented: PeerCertificate, peer: string): Error | undefined {
  const { subjectAltName = '' } = new X509Certificate(presented.raw);
  // Node.js quotes a name with a comma in it; no SPIFFE ID needs that, so a quote means that somebody plays tricks.
  const uris = subjectAltName.includes('"') ? [] : subjectAltName.split(', ').filter((name) => name.startsWith('URI:'));
  if (uris.length === 1 && uris[0] === `URI:${peer}`) return undefined;
  return Object.assign(new Error('the server proves another identity'), { code: 'ERR_SPIFFE_ID_MISMATCH' });
}

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
