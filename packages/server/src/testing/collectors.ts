/** Receivers of the log on loopback, for tests: an HTTPS collector and a syslog server over TLS, with an authority of their own. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { makeAuthority, makeCertificate, type TestCertificate } from './certificates.ts';

export interface Authority {
  ca: TestCertificate;
  /** PEM of it, as `outbound.ca_file`. */
  file: string;
  leaf: TestCertificate;
  close(): void;
}

/** An authority whose leaf is `localhost`. */
export async function collectorAuthority(): Promise<Authority> {
  const ca = await makeAuthority('CN=Collectors');
  const leaf = await makeCertificate({
    subject: 'CN=localhost',
    issuer: ca,
    names: [
      ['dns', 'localhost'],
      ['ip', '127.0.0.1'],
    ],
    purposes: ['1.3.6.1.5.5.7.3.1'],
  });
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-collectors-'));
  const file = path.join(folder, 'ca.pem');
  writeFileSync(file, ca.pem);
  return { ca, file, leaf, close: () => rmSync(folder, { recursive: true }) };
}

export interface Received {
  path: string;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** What to answer; `hang`: nothing; `cut`: breaks off. */
export type Reply = { status: number; body?: string } | 'hang' | 'cut';

export interface HttpCollector {
  url: string;
  received: Received[];
  /** Asked for every request. */
  reply: (request: Received) => Reply;
  close(): Promise<void>;
}

export async function httpCollector({ leaf }: Authority, port = 0): Promise<HttpCollector> {
  const server = createHttpsServer({ cert: leaf.chain, key: leaf.key }, async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const received = { path: request.url ?? '', headers: request.headers, body };
    const reply = collector.reply(received);
    if (reply === 'hang') return;
    if (reply === 'cut') return void request.socket.destroy();
    if (reply.status < 300) collector.received.push(received);
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(reply.body ?? '{}');
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const collector: HttpCollector = {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    received: [],
    reply: () => ({ status: 200 }),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return collector;
}

export interface SyslogCollector {
  port: number;
  /** Whole messages, of connections that were closed in order. */
  messages: string[];
  /** Common names of the clients' certificates. */
  clients: string[];
  /** Resets connections once so many bytes came. */
  cutAfter: number | undefined;
  close(): Promise<void>;
}

/** @param clients who may vouch for clients; then they must show a certificate */
export async function syslogCollector({ leaf }: Authority, clients?: TestCertificate): Promise<SyslogCollector> {
  const open = new Set<TLSSocket>();
  const raw = new Set<Socket>();
  const options = { cert: leaf.chain, key: leaf.key };
  const server = createTlsServer(
    clients ? { ...options, requestCert: true, rejectUnauthorized: true, ca: clients.pem } : options,
    (socket) => {
      open.add(socket);
      let bytes = Buffer.alloc(0);
      const name = socket.getPeerCertificate()?.subject?.CN;
      if (typeof name === 'string') collector.clients.push(name);
      socket.on('data', (part: Buffer) => {
        bytes = Buffer.concat([bytes, part]);
        if (collector.cutAfter !== undefined && bytes.length >= collector.cutAfter)
          for (const each of raw) each.resetAndDestroy();
      });
      socket.on('error', () => {});
      socket.on('end', () => collector.cutAfter ?? collector.messages.push(...unframed(bytes)));
      socket.on('close', () => open.delete(socket));
    },
  );
  server.on('tlsClientError', () => {});
  server.on('connection', (socket) => {
    raw.add(socket);
    socket.on('close', () => raw.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const collector: SyslogCollector = {
    port: (server.address() as AddressInfo).port,
    messages: [],
    clients: [],
    cutAfter: undefined,
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return collector;
}

/** RFC 5425 §4.3. @throws Error where the framing is wrong */
export function unframed(bytes: Buffer): string[] {
  const messages: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const digits = bytes.subarray(at, space).toString('latin1');
    if (!/^[1-9][0-9]*$/.test(digits)) throw new Error(`no length: ${digits.slice(0, 20)}`);
    const end = space + 1 + Number(digits);
    if (end > bytes.length) throw new Error('broken off');
    messages.push(bytes.subarray(space + 1, end).toString('utf8'));
    at = end;
  }
  return messages;
}
