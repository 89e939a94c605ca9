/** Our certificates with programs that we did not write: openssl and nginx. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { connect, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import type { PublicJwk } from '@bailiwick/protocol';
import { systemClock } from '../packages/server/src/lib/clock.ts';
import { asOf } from '../packages/server/src/liveness/liveness.ts';
import { issueX509Svid, type X509Svid } from '../packages/server/src/svid/x509-svid.ts';
import { freePort } from '../packages/server/src/testing/free-port.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { systemTool } from '../packages/server/src/testing/system-tool.ts';

const openssl = systemTool('openssl');
const nginx = systemTool('nginx');
const run = promisify(execFile);
const hour = 3_600_000;

let folder: string;
let server: TestServer;
let agent: Held;
let web: Held;
let stranger: Held;

interface Held {
  svid: X509Svid;
  key: KeyObject;
  /** Paths of PEM files. */
  certificate: string;
  chain: string;
  privateKey: string;
}

const file = (name: string) => path.join(folder, name);

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-test-'));
  // what other programs verify by is the machine's time
  server = await startServer({ clock: { ...systemClock, advance: () => assert.fail('it advances by itself') } });
  writeFileSync(file('roots.pem'), await (await fetch(`${server.issuer}/spiffe/ca.pem`)).text());
  agent = await issue(server, 'agent', {});
  web = await issue(server, 'web', { dnsNames: ['localhost'] });
  const other = await startServer({ clock: server.clock, config: { trust_domain: 'localhost' } });
  stranger = await issue(other, 'stranger', {});
  await other.close();
});

after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

async function issue(by: TestServer, name: string, { dnsNames }: { dnsNames?: string[] }): Promise<Held> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { version } = await asOf(by.deps.db);
  const svid = await issueX509Svid(by.deps, version, {
    spiffeId: `spiffe://${by.deps.config.trust_domain}/home/${name}/ins_1`,
    publicKey: publicKey.export({ format: 'jwk' }) as PublicJwk,
    notAfter: by.clock.now() + hour,
    dnsNames,
    template: 'instance',
  });
  const held = {
    svid,
    key: privateKey,
    certificate: file(`${name}.crt`),
    chain: file(`${name}.pem`),
    privateKey: file(`${name}.key`),
  };
  writeFileSync(held.certificate, svid.certificate);
  writeFileSync(held.chain, svid.chain);
  writeFileSync(held.privateKey, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return held;
}

const opensslVerify = (held: Held, ...more: string[]) =>
  run('path' in openssl ? openssl.path : '', [
    'verify',
    '-x509_strict',
    ...['-CAfile', file('roots.pem'), '-untrusted', held.chain],
    ...more,
    held.certificate,
  ]);

const skip = 'skip' in openssl && openssl.skip;

test('openssl verify, strictly, accepts what we issue, for clients and servers', { skip }, async () => {
  for (const held of [agent, web]) {
    for (const purpose of ['sslclient', 'sslserver']) {
      assert.match((await opensslVerify(held, '-purpose', purpose)).stdout, /: OK/);
    }
  }
  assert.match((await opensslVerify(web, '-verify_hostname', 'localhost')).stdout, /: OK/);
});

test('openssl verify refuses what it should', { skip }, async () => {
  await assert.rejects(opensslVerify(web, '-verify_hostname', 'example.org'), /hostname mismatch/i);
  await assert.rejects(opensslVerify(stranger), /unable to get (local )?issuer certificate|signature failure/);
  const late = String(Math.floor((server.clock.now() + 2 * hour) / 1000));
  await assert.rejects(opensslVerify(agent, '-attime', late), /expired/);
  const early = String(Math.floor((server.clock.now() - hour) / 1000));
  await assert.rejects(opensslVerify(agent, '-attime', early), /not yet valid/);
});

test('openssl reads in a certificate what was asked for, and nothing else', { skip }, async () => {
  const { stdout } = await run('path' in openssl ? openssl.path : '', [
    'x509',
    '-in',
    web.certificate,
    '-noout',
    '-text',
  ]);
  for (const part of [
    'Version: 3',
    'Signature Algorithm: ecdsa-with-SHA256',
    'CA:FALSE',
    'TLS Web Server Authentication, TLS Web Client Authentication',
    `URI:spiffe://${server.deps.config.trust_domain}/home/web/ins_1, DNS:localhost`,
  ]) {
    assert.ok(stdout.includes(part), `${part}\n${stdout}`);
  }
  assert.match(stdout, /Key Usage: critical\s+Digital Signature\n/);
});

test('openssl s_client shows an SVID to a server of Node’s, and checks the server’s', { skip }, async (t) => {
  const roots = readFileSync(file('roots.pem'));
  const tls = createTlsServer(
    { cert: web.svid.chain, key: readFileSync(web.privateKey), ca: roots, requestCert: true, rejectUnauthorized: true },
    (socket: TLSSocket) => socket.end(`hello ${socket.getPeerCertificate().subjectaltname}\n`),
  );
  tls.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
  t.after(() => tls.close());
  const { port } = tls.address() as { port: number };
  const client = (held: Held) =>
    run('path' in openssl ? openssl.path : '', [
      ...['s_client', '-quiet', '-connect', `127.0.0.1:${port}`, '-servername', 'localhost'],
      ...['-CAfile', file('roots.pem'), '-verify_hostname', 'localhost', '-verify_return_error'],
      ...['-cert', held.certificate, '-cert_chain', held.chain, '-key', held.privateKey],
    ]);
  // how the connection ends is not the question: what it was told before is
  const heard = async (held: Held) => {
    const running = client(held);
    running.child.stdin?.end();
    const { stdout } = await running.catch((error: { stdout: string }) => error);
    return stdout;
  };
  assert.match(await heard(agent), /hello URI:spiffe:\/\/localhost\/home\/agent\/ins_1/);
  assert.equal(await heard(stranger), '');
});

test('openssl s_server asks for an SVID, and shows its own', { skip }, async (t) => {
  const port = await freePort();
  const child = spawn('path' in openssl ? openssl.path : '', [
    ...['s_server', '-accept', `127.0.0.1:${port}`, '-www', '-Verify', '3', '-verify_return_error'],
    ...['-CAfile', file('roots.pem'), '-cert', web.certificate, '-cert_chain', web.chain, '-key', web.privateKey],
  ]);
  t.after(() => ended(child));
  await listening(child, port);
  const answer = await ask(port, agent);
  assert.match(answer, /200 ok/i);
  assert.match(answer, /spiffe:\/\/localhost\/home\/agent\/ins_1/);
  await assert.rejects(ask(port, stranger));
  await assert.rejects(ask(port, undefined));
});

test('nginx accepts client certificates of our authority, and no others', {
  skip: 'skip' in nginx && nginx.skip,
}, async (t) => {
  const port = await freePort();
  writeFileSync(
    file('nginx.conf'),
    `daemon off; pid ${file('nginx.pid')}; error_log stderr; events {}
     http {
       access_log off;
       client_body_temp_path ${file('body')}; proxy_temp_path ${file('proxy')}; fastcgi_temp_path ${file('fastcgi')};
       uwsgi_temp_path ${file('uwsgi')}; scgi_temp_path ${file('scgi')};
       server {
         listen 127.0.0.1:${port} ssl;
         ssl_certificate ${web.chain}; ssl_certificate_key ${web.privateKey};
         ssl_client_certificate ${file('roots.pem')}; ssl_verify_client on; ssl_verify_depth 2;
         location / { return 200 "$ssl_client_verify $ssl_client_s_dn\\n"; }
       }
     }`,
  );
  const child = spawn('path' in nginx ? nginx.path : '', ['-p', folder, '-e', 'stderr', '-c', file('nginx.conf')]);
  t.after(() => ended(child));
  await listening(child, port);
  assert.match(await ask(port, agent), /200 OK[\s\S]*SUCCESS UID=spiffe:\/\/localhost\/home\/agent\/ins_1/);
  assert.match(await ask(port, stranger), /400 Bad Request[\s\S]*certificate error/i);
  assert.match(await ask(port, undefined), /400 Bad Request[\s\S]*No required SSL certificate/i);
});

/** Resolves when the port answers; what the program wrote goes into the error if it ends before. */
async function listening(child: ChildProcess, port: number): Promise<void> {
  let wrote = '';
  let over = false;
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes: Buffer) => (wrote += bytes));
  child.once('exit', () => (over = true));
  const answers = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => resolve(true));
      socket.on('error', () => resolve(false));
      socket.on('close', () => resolve(false));
      socket.once('secureConnect', () => socket.destroy());
    });
  while (!(await answers())) {
    assert.ok(!over, `it ended before it listened: ${wrote}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A request in TLS 1.2, where a refused certificate ends the handshake: what comes back, or why nothing does. */
function ask(port: number, held: Held | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{
        host: '127.0.0.1',
        port,
        servername: 'localhost',
        ca: readFileSync(file('roots.pem')),
        maxVersion: 'TLSv1.2',
      },
      ...(held && { cert: held.svid.chain, key: readFileSync(held.privateKey) }),
    });
    let answer = '';
    socket.on('data', (bytes) => {
      answer += bytes;
    });
    socket.once('secureConnect', () => socket.write('GET / HTTP/1.0\r\nHost: localhost\r\n\r\n'));
    socket.once('error', reject);
    socket.once('close', () => (answer === '' ? reject(new Error('closed without an answer')) : resolve(answer)));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await over;
}
