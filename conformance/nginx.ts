/** A real nginx that ends TLS, asks clients for certificates, and says what it saw to what lies behind it (RFC 9440). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '../packages/server/src/testing/free-port.ts';

export interface Nginx {
  /** `https://localhost:<port>` */
  url: string;
  close(): Promise<void>;
}

const clientCert = path.resolve(import.meta.dirname, '../examples/nginx/client-cert.conf');

/**
 * Starts nginx on a port of its own, as a proxy that ends TLS.
 * @param options.behind the port on this machine that requests are passed on to
 * @param options.certificate the PEM of nginx's own certificate and key
 */
export async function startNginx(options: {
  program: string;
  behind: number;
  certificate: { pem: string; key: string };
}): Promise<Nginx> {
  const { program, behind, certificate } = options;
  const { port, close } = await runNginx(program, (listen, own) => {
    writeFileSync(own('server.pem'), certificate.pem);
    writeFileSync(own('server.key'), certificate.key, { mode: 0o600 });
    return `
  include ${clientCert};
  server {
    listen 127.0.0.1:${listen} ssl;
    ssl_certificate ${own('server.pem')};
    ssl_certificate_key ${own('server.key')};
    ssl_verify_client optional_no_ca;
    location / {
      proxy_pass http://127.0.0.1:${behind};
      proxy_set_header Host $http_host;
      proxy_set_header Client-Cert $client_cert;
    }
  }`;
  });
  return { url: `https://localhost:${port}`, close };
}

/**
 * Starts nginx in a folder of its own.
 * @param http what stands in `http {}`, given the port to listen on and where its own files lie
 */
export async function runNginx(
  program: string,
  http: (port: number, own: (name: string) => string) => string,
): Promise<{ port: number; close(): Promise<void> }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-nginx-'));
  const port = await freePort();
  const own = (name: string) => path.join(folder, name);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${own(name)};`,
  );
  const configuration = `
daemon off;
master_process off;
pid ${own('pid')};
error_log stderr notice;
events {}
http {
  access_log off;
  ${temporary.join('\n  ')}
  ${http(port, own)}
}
`;
  writeFileSync(own('nginx.conf'), configuration);
  const child = spawn(program, ['-p', folder, '-c', own('nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  await listening(child.stderr, ended);
  return {
    port,
    async close() {
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** nginx says its version once it listens. */
function listening(stderr: NodeJS.ReadableStream, ended: Promise<unknown>): Promise<void> {
  let said = '';
  return new Promise((resolve, reject) => {
    stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('nginx/1.')) resolve();
    });
    ended.then(() => reject(new Error(`nginx ended: ${said}`)));
  });
}
