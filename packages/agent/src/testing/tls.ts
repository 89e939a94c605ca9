/** Servers with certificates, and authorities that vouch for them, for tests of TLS. Their time is the real one: OpenSSL's. */
import { createPrivateKey } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import {
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  type TestName,
} from '../../../server/src/testing/certificates.ts';
import type { TlsMaterial } from '../tls-fetch.ts';

const purposes = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };
const now = () => ({ from: Date.now() - 3_600_000, until: Date.now() + 24 * 3_600_000 });

export const authority = (subject: string) => makeAuthority(subject, now());

export function serverCertificate(issuer: TestCertificate, names?: TestName[]): Promise<TestCertificate> {
  const usual: TestName[] = [
    ['dns', 'localhost'],
    ['ip', '127.0.0.1'],
  ];
  return makeCertificate({ issuer, names: names ?? usual, purposes: [purposes.server], ...now() });
}

export function clientCertificate(issuer: TestCertificate, uri: string): Promise<TestCertificate> {
  return makeCertificate({ issuer, names: [['url', uri]], purposes: [purposes.client], ...now() });
}

/** As the product wants it. */
export function materialOf(
  certificate: TestCertificate | undefined,
  { ca = [], bundle = [] }: { ca?: TestCertificate[]; bundle?: TestCertificate[] } = {},
): TlsMaterial {
  return {
    certificate: certificate && { chain: certificate.chain, key: createPrivateKey(certificate.key) },
    ca: ca.map(({ pem }) => pem),
    bundle: bundle.map(({ pem }) => pem),
  };
}

export interface TlsTestServer {
  url: string;
  server: Server;
  /** How many connections there were. */
  connections: () => number;
}

/** An https server on a free port, closed when the test is over. */
export async function listenTls(
  t: { after(work: () => void): void },
  certificate: TestCertificate,
  options: ServerOptions,
  listener: RequestListener,
): Promise<TlsTestServer> {
  const server = createServer({ cert: certificate.chain, key: certificate.key, ...options }, listener);
  let connections = 0;
  server.on('secureConnection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `https://127.0.0.1:${port}`, server, connections: () => connections };
}
