/**
 * The listener for mutual TLS: it asks everybody for a certificate and believes none. Who is behind one is decided where
 * clients are authenticated (RFC 8705 §2); the handshake proves the possession of its key, and nothing else is taken from it.
 */
import { constants } from 'node:crypto';
import type { RequestListener, Server } from 'node:http';
import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TlsOptions } from 'node:tls';

/** What the listener shows of itself. PEM, the chain after the leaf. */
export interface ServerCertificate {
  cert: string | Buffer;
  key: string | Buffer;
}

/** Answers the certificate to show now: the same object for as long as it is the same certificate. */
export type CertificateSource = () => Promise<ServerCertificate>;

const tlsOptions: TlsOptions = {
  requestCert: true,
  rejectUnauthorized: false,
  ca: [], // names nobody whose certificates we would want, and keeps those of the Web out of it
  minVersion: 'TLSv1.2',
  ALPNProtocols: ['http/1.1'],
  // every connection is a whole handshake, so that every connection has the whole chain and has proven its key by itself:
  // a resumed session would bring back a leaf without what led from it to a root
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  handshakeTimeout: 10_000,
};

/**
 * A server for one address, not listening yet. Its certificate is asked for at each connection and, when it is another
 * one, shown from that connection on; connections that stand are not touched.
 */
export function mutualTlsServer(limits: object, certificate: CertificateSource, handle: RequestListener): Server {
  const server = createServer({ ...limits, ...tlsOptions, pauseOnConnect: true }, handle);
  const [handshake] = server.listeners('connection') as ((socket: Socket) => void)[];
  server.removeAllListeners('connection');
  let shown: ServerCertificate | undefined;
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => socket.destroy()); // who hangs up while we look for our certificate disturbs nobody
    certificate()
      .then((now) => {
        if (now !== shown) server.setSecureContext({ ...tlsOptions, ...now });
        shown = now;
        if (!socket.destroyed) handshake?.call(server, socket);
      })
      .catch(() => socket.destroy()); // whose certificate it is says why, in the log
  });
  return server;
}
