// The listener for mutual TLS, over real sockets. Who is behind a certificate: client-auth/.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { fakeClock, systemClock } from './lib/clock.ts';
import { makeAuthority, makeCertificate, type TestCertificate } from './testing/certificates.ts';
import { startServer, type TestServer } from './testing/harness.ts';
import { tlsRequest } from './testing/tls-request.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-mtls-'));
const files = { cert: path.join(folder, 'server.crt'), key: path.join(folder, 'server.key') };
let server: TestServer;
let client: TestCertificate;

const show = (certificate: TestCertificate) => {
  writeFileSync(files.cert, certificate.chain);
  writeFileSync(files.key, certificate.key);
};
const serverCertificate = (subject: string) =>
  makeCertificate({ subject, names: [['dns', 'localhost']], purposes: ['1.3.6.1.5.5.7.3.1'] });

before(async () => {
  show(await serverCertificate('CN=first'));
  server = await startServer({ config: { mtls: files } });
  client = await makeCertificate({ subject: 'CN=client', issuer: await makeAuthority('CN=root') });
});
after(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** Shakes hands and says what came of it. */
const shake = (options: object = {}) =>
  new Promise<TLSSocket>((resolve, reject) => {
    const { port } = new URL(server.mtlsUrl);
    const socket = connect({ host: '127.0.0.1', port: Number(port), rejectUnauthorized: false, ...options }, () =>
      resolve(socket),
    );
    socket.on('error', reject);
  });

test('it answers what the other listener answers, with a certificate or without', async () => {
  const { json } = await tlsRequest(`${server.mtlsUrl}/.well-known/oauth-authorization-server`);
  assert.equal(json.issuer, server.issuer);
  assert.equal((await tlsRequest(`${server.mtlsUrl}/healthz`, { certificate: client })).status, 200);
});

test('nothing older than TLS 1.2 is spoken', async () => {
  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    const old = { minVersion: version, maxVersion: version, ciphers: 'ALL:@SECLEVEL=0' };
    await assert.rejects(shake(old), /protocol version|unsupported protocol/i, version);
  }
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await shake({ minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
    socket.destroy();
  }
});

test('a session is not resumed: each connection proves its key by itself', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { maxVersion: version, cert: client.chain, key: client.key };
    const first = await shake(options);
    const sessions: Buffer[] = [];
    first.on('session', (session) => sessions.push(session));
    first.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await new Promise((resolve) => first.once('data', resolve));
    first.destroy();
    const second = await shake({ ...options, session: sessions.at(-1) ?? first.getSession() });
    assert.equal(second.isSessionReused(), false, version);
    second.destroy();
  }
});

test('new files are shown from the next connection on, and files that don’t fit together are not', async () => {
  const before = await shake();
  show(await serverCertificate('CN=second'));
  const subject = async () => {
    const socket = await shake();
    const shown = socket.getPeerX509Certificate()?.subject;
    socket.destroy();
    return shown;
  };
  assert.equal(await subject(), 'CN=second');
  writeFileSync(files.key, client.key);
  assert.equal(await subject(), 'CN=second');
  rmSync(files.key);
  assert.equal(await subject(), 'CN=second');
  before.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await new Promise((resolve) => before.once('data', resolve));
  before.destroy();
  show(await serverCertificate('CN=third'));
  assert.equal(await subject(), 'CN=third');
});

test('a port that is taken, and files that can’t be used, are said in a sentence', async () => {
  const port = Number(new URL(server.mtlsUrl).port);
  await assert.rejects(startServer({ config: { mtls: { port } } }), {
    message: `port ${port} is in use: stop what uses it, or set BAILIWICK_MTLS_PORT to another one`,
  });
  const gone = { cert: path.join(folder, 'none.crt'), key: files.key };
  await assert.rejects(
    startServer({ config: { mtls: gone } }),
    /^Error: mtls\.cert: .*none\.crt can't be read \(ENOENT\)$/,
  );
  const swapped = { cert: files.key, key: files.cert };
  await assert.rejects(startServer({ config: { mtls: swapped } }), /mtls\.cert and mtls\.key can't be used together/);
});

test('it can be left out, and nothing is said of it then', async () => {
  const without = await startServer({ config: { mtls: { enabled: false } } });
  try {
    assert.equal(without.mtlsUrl, '');
    const metadata = (await (await fetch(`${without.issuer}/.well-known/openid-configuration`)).json()) as object;
    assert.deepEqual(
      Object.keys(metadata).filter((name) => /mtls|tls_/.test(name)),
      [],
    );
  } finally {
    await without.close();
  }
});

test('without files the own authority issues the certificate, and again at half its life', async () => {
  const halfLife = 12 * 60 * 60 * 1000;
  // whoever connects looks at the machine's clock: both certificates have to be valid by that one
  const clock = fakeClock(systemClock.now() - halfLife - 60_000);
  const own = await startServer({ clock, config: { trust_domain: 'agents.example.com' } });
  try {
    const ca = await (await fetch(`${own.issuer}/spiffe/ca.pem`)).text();
    const port = Number(new URL(own.mtlsUrl).port);
    const trusting = async (options: object) => {
      const socket = await shake({ port, ca, rejectUnauthorized: true, ...options });
      const shown = socket.getPeerX509Certificate();
      socket.destroy();
      return shown;
    };
    for (const name of [{ servername: 'localhost' }, { host: '127.0.0.1' }, { host: '::1' }]) {
      const shown = await trusting(name);
      assert.match(shown?.subjectAltName ?? '', /URI:spiffe:\/\/agents\.example\.com\/_bailiwick\/server/);
    }
    await assert.rejects(trusting({ servername: 'elsewhere.example' }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    await assert.rejects(shake({ port, rejectUnauthorized: true }), /unable to (get|verify)|self-signed/);

    const standing = await shake({ port });
    const serial = async () => (await trusting({ servername: 'localhost' }))?.serialNumber;
    const first = await serial();
    assert.equal(await serial(), first);
    clock.advance(halfLife - 60_000);
    assert.equal(await serial(), first);
    clock.advance(120_000);
    const second = await serial();
    assert.notEqual(second, first);
    assert.equal(await serial(), second);
    standing.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const answer = await new Promise<Buffer>((resolve) => standing.once('data', resolve));
    assert.match(answer.toString(), /^HTTP\/1\.1 200 [\s\S]*"mutual_tls":"https:\/\/localhost:/);
    standing.destroy();
  } finally {
    await own.close();
  }
});

test('closing lets a request finish that is under way, and takes no new one', async () => {
  const ending = await startServer({ config: { shutdown_grace_seconds: 30 } });
  const port = Number(new URL(ending.mtlsUrl).port);
  const socket = await shake({ port });
  socket.write(
    'POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n' +
      'Content-Length: 29\r\nExpect: 100-continue\r\n\r\n',
  );
  const heard = () => new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())));
  assert.match(await heard(), /^HTTP\/1\.1 100 /); // the server has it in hand
  const closed = ending.close();
  await assert.rejects(shake({ port }), { code: 'ECONNREFUSED' });
  const answer = heard();
  socket.write('grant_type=client_credentials');
  assert.match(await answer, /^HTTP\/1\.1 401 /);
  await closed;
});

test('closing waits for nobody who is in the middle of a handshake', async () => {
  const ending = await startServer({ config: { shutdown_grace_seconds: 0 } });
  const idle = connectTcp(Number(new URL(ending.mtlsUrl).port), '127.0.0.1');
  await new Promise((resolve) => idle.once('connect', resolve));
  const gone = new Promise((resolve) => idle.once('close', resolve));
  idle.resume();
  await ending.close();
  await gone;
});

test('closing waits for no connection that nothing was sent on, at either listener', async () => {
  const ending = await startServer({ config: { shutdown_grace_seconds: 60 } });
  const spare = await Promise.all(
    [ending.address, ending.mtlsUrl].map(async (url) => {
      const socket = connectTcp(Number(new URL(url).port), '127.0.0.1').resume();
      await once(socket, 'connect');
      return { gone: once(socket, 'close') };
    }),
  );
  const begun = performance.now();
  await ending.close();
  assert.ok(performance.now() - begun < 30_000, 'not for as long as requests may take');
  await Promise.all(spare.map(({ gone }) => gone));
});
