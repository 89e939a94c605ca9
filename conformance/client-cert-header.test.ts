/** What a proxy says of its clients' certificates: believed of those in the configuration, ignored of everybody else. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { makeAuthority, makeCertificate } from '../packages/server/src/testing/certificates.ts';
import { freePort } from '../packages/server/src/testing/free-port.ts';
import { systemTool } from '../packages/server/src/testing/system-tool.ts';
import { tlsRequest } from '../packages/server/src/testing/tls-request.ts';
import type { TokenClient } from '../packages/server/src/testing/token-client.ts';
import { assertFailed, type MutualTls, openMutualTls, payloadOf, type TestCertificate } from './mutual-tls.ts';
import { databases } from './world.ts';

/** Where the proxy is, for the server; everybody else is at 127.0.0.1. */
const proxyAddress = '127.0.0.2';

const field = ({ der }: { der: Buffer }) => `:${der.toString('base64')}:`;

interface Sent {
  from?: string;
  headers: Record<string, string | string[]>;
  form: Record<string, string>;
}

/** Asks for a token in plain http, as a proxy does or somebody who would like to be taken for one. */
async function ask(world: MutualTls, { from = proxyAddress, headers, form }: Sent) {
  world.server.deps.failures.counts.clear();
  const body = new URLSearchParams({ grant_type: 'client_credentials', ...form }).toString();
  const sent = request(`${world.server.address}/oauth2/token`, {
    method: 'POST',
    localAddress: from,
    agent: false,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
  }).end(body);
  const [response] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return { status: response.statusCode as number, headers: response.headers, text, json: JSON.parse(text) };
}

for (const database of databases) {
  describe(`Client-Cert on ${database}`, () => {
    let world: MutualTls;
    let client: TokenClient;
    let certificate: TestCertificate;
    before(async () => {
      world = await openMutualTls(database, { mtls: { proxies: [proxyAddress] } });
      certificate = await makeCertificate({ subject: 'CN=behind' });
      client = await world.agent({ kind: 'certificate', certificate: certificate.pem });
    });
    after(() => world.close());

    test('of a configured proxy proves its client, and binds the token', async () => {
      const form = { client_id: client.clientId };
      const reply = await ask(world, { headers: { 'client-cert': field(certificate) }, form });
      assert.equal(reply.status, 200, reply.text);
      assert.deepEqual(payloadOf(reply.json.access_token).cnf, { 'x5t#S256': certificate.x5t });
    });

    test('and Client-Cert-Chain lead to an authority, in one line or in several', async () => {
      const between = await makeAuthority('CN=Between', { issuer: world.authority, pathLength: 1 });
      const lower = await makeAuthority('CN=Lower', { issuer: between, pathLength: 0 });
      const leaf = await makeCertificate({ issuer: lower, names: [['dns', 'behind.example.com']] });
      const subject = { field: 'san_dns', value: 'behind.example.com', ca: world.authority.pem };
      const { clientId } = await world.agent({ kind: 'certificate_subject', subject });
      const chain = [lower, between].map(field);
      for (const lines of [chain.join(', '), chain]) {
        const headers = { 'client-cert': field(leaf), 'client-cert-chain': lines };
        const reply = await ask(world, { headers, form: { client_id: clientId } });
        assert.equal(reply.status, 200, `${reply.text} ${world.lastReason()}`);
      }
      assertFailed(await ask(world, { headers: { 'client-cert': field(leaf) }, form: { client_id: clientId } }));
    });

    test('of a stranger is ignored', async () => {
      const headers = { 'client-cert': field(certificate) };
      const from = '127.0.0.1';
      const alone = await ask(world, { from, headers, form: { client_id: client.clientId } });
      assert.equal(alone.status, 401);
      assert.match(alone.json.error_description, /^client authentication is needed: /);
      const beside = await ask(world, { from, headers, form: await client.form() });
      assert.equal(beside.status, 400, 'no certificate binds this token');
      assert.match(beside.json.error_description, /bound to a key/);
      const unreadable = await ask(world, { from, headers: { 'client-cert': 'what?' }, form: await client.form() });
      assert.equal(unreadable.status, 400);
      assert.match(unreadable.json.error_description, /bound to a key/);
    });

    test('of a stranger says nothing on the port for mutual TLS either, where its own certificate counts', async () => {
      const own = await makeCertificate({ subject: 'CN=own' });
      const headers = { 'client-cert': field(certificate) };
      assertFailed(await world.token(own, { client_id: client.clientId }, { headers }));
      const reply = await world.token(own, await client.form(), { headers });
      assert.deepEqual(payloadOf(reply.json.access_token).cnf, { 'x5t#S256': own.x5t });
    });

    test('a certificate that the proxy shows for itself is not its clients', async () => {
      const tls = { localAddress: proxyAddress };
      const { port } = new URL(world.server.mtlsUrl);
      const url = `https://127.0.0.1:${port}/oauth2/token`;
      const form = { grant_type: 'client_credentials', client_id: client.clientId };
      const reply = await tlsRequest(url, { certificate, form, tls });
      assert.equal(reply.status, 401);
      const proxied = await makeCertificate({ subject: 'CN=proxy' });
      const headers = { 'client-cert': field(certificate) };
      const right = await tlsRequest(url, { certificate: proxied, form, tls, headers });
      assert.deepEqual(payloadOf(right.json.access_token).cnf, { 'x5t#S256': certificate.x5t });
    });

    const text = () => certificate.der.toString('base64');
    const unreadable: [string, () => Record<string, string | string[]>][] = [
      ['Client-Cert twice', () => ({ 'client-cert': [field(certificate), field(certificate)] })],
      ['Client-Cert with two certificates', () => ({ 'client-cert': `${field(certificate)}, ${field(certificate)}` })],
      ['Client-Cert without colons', () => ({ 'client-cert': text() })],
      ['Client-Cert with one colon', () => ({ 'client-cert': `:${text()}` })],
      ['Client-Cert as a string', () => ({ 'client-cert': `"${text()}"` })],
      ['Client-Cert with a parameter', () => ({ 'client-cert': `${field(certificate)};verified=1` })],
      ['Client-Cert with a blank inside', () => ({ 'client-cert': `: ${text()}:` })],
      [
        'Client-Cert in base64url',
        () => ({ 'client-cert': `:${text().replaceAll('+', '-').replaceAll('/', '_')}-_:` }),
      ],
      [
        'Client-Cert without padding',
        () => ({
          'client-cert': `:${Buffer.concat([certificate.der, Buffer.alloc(4 - (certificate.der.length % 3))])
            .toString('base64')
            .replace(/=+$/, '')}:`,
        }),
      ],
      ['Client-Cert in PEM', () => ({ 'client-cert': encodeURIComponent(certificate.pem) })],
      ['Client-Cert that is empty', () => ({ 'client-cert': '' })],
      ['Client-Cert of nothing', () => ({ 'client-cert': '::' })],
      ['Client-Cert that is no DER', () => ({ 'client-cert': `:${Buffer.from('certificate').toString('base64')}:` })],
      [
        'Client-Cert with bytes behind it',
        () => ({ 'client-cert': `:${Buffer.concat([certificate.der, Buffer.of(0)]).toString('base64')}:` }),
      ],
      ['Client-Cert-Chain alone', () => ({ 'client-cert-chain': field(certificate) })],
      [
        'Client-Cert-Chain without end',
        () => ({
          'client-cert': field(certificate),
          'client-cert-chain': Array.from({ length: 10 }, () => field(certificate)).join(', '),
        }),
      ],
      [
        'Client-Cert-Chain with something empty',
        () => ({ 'client-cert': field(certificate), 'client-cert-chain': `${field(certificate)},` }),
      ],
    ];
    for (const [sentence, headers] of unreadable) {
      test(sentence, async () => {
        for (const form of [{ client_id: client.clientId }, await client.form()]) {
          const { status, json } = await ask(world, { headers: headers(), form });
          assert.deepEqual([status, json.error], [400, 'invalid_request'], JSON.stringify(json));
        }
      });
    }

    test('bytes that are no certificate, or no longer one, prove nobody and break nothing', async () => {
      const { clientId } = await world.agent({
        kind: 'certificate_subject',
        subject: { field: 'san_dns', value: 'bytes.example.com', ca: world.authority.pem },
      });
      const leaf = await makeCertificate({ issuer: world.authority, names: [['dns', 'bytes.example.com']] });
      const right = await ask(world, { headers: { 'client-cert': field(leaf) }, form: { client_id: clientId } });
      assert.equal(right.status, 200, right.text);
      const changed = Array.from({ length: 64 }, (_, i) => {
        const der = Buffer.from(leaf.der);
        const at = 4 + Math.floor(((der.length - 4) * i) / 64);
        der[at] = (der[at] as number) ^ (1 << (i % 8));
        return der;
      });
      for (const der of [Buffer.from('300102', 'hex'), Buffer.from('30050203010001', 'hex'), ...changed]) {
        const reply = await ask(world, { headers: { 'client-cert': field({ der }) }, form: { client_id: clientId } });
        assert.ok([400, 401].includes(reply.status), `${der.toString('hex')}: ${reply.text}`);
      }
    });
  });
}

const nginx = systemTool('nginx');

describe('behind nginx', { skip: 'skip' in nginx && nginx.skip }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-nginx-'));
  let world: MutualTls;
  let url: string;
  const run = (...args: string[]) =>
    promisify(execFile)('path' in nginx ? nginx.path : '', [
      '-p',
      folder,
      '-c',
      'nginx.conf',
      '-e',
      'error.log',
      ...args,
    ]);

  before(async () => {
    const port = await freePort();
    url = `https://localhost:${port}`;
    world = await openMutualTls('sqlite', {
      mtls: { enabled: false, url, proxies: [proxyAddress] },
    });
    const shown = await makeCertificate({ subject: 'CN=localhost', names: [['dns', 'localhost']], purposes: [] });
    writeFileSync(path.join(folder, 'server.crt'), shown.pem);
    writeFileSync(path.join(folder, 'server.key'), shown.key);
    writeFileSync(path.join(folder, 'nginx.conf'), configOf(port, world.server.address));
    await run(); // it answers when its sockets are open
  });
  after(async () => {
    await run('-s', 'stop');
    await world.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const token = (certificate: TestCertificate | undefined, clientId: string, headers: Record<string, string> = {}) =>
    tlsRequest(`${url}/oauth2/token`, {
      certificate,
      headers,
      form: { grant_type: 'client_credentials', client_id: clientId },
    });

  test('nginx tells who its client is: tls_client_auth, and a token bound to the certificate', async () => {
    const subject = { field: 'san_dns', value: 'behind.example.com', ca: world.authority.pem };
    const { clientId } = await world.agent({ kind: 'certificate_subject', subject });
    for (const alg of ['ES256', 'RS256'] as const) {
      const issuer = world.authority;
      const certificate = await makeCertificate({ alg, issuer, names: [['dns', 'behind.example.com']] });
      const reply = await token(certificate, clientId);
      assert.equal(reply.status, 200, `${reply.text} ${readFileSync(path.join(folder, 'error.log'), 'utf8')}`);
      assert.deepEqual(payloadOf(reply.json.access_token).cnf, { 'x5t#S256': certificate.x5t });
    }
  });

  test('nginx overwrites the header of a client that would like to be another', async () => {
    const victim = await makeCertificate({ subject: 'CN=victim' });
    const { clientId } = await world.agent({ kind: 'certificate', certificate: victim.pem });
    assert.equal((await token(victim, clientId)).status, 200);
    const spoofed = { 'client-cert': field(victim) };
    assertFailed(await token(await makeCertificate({ subject: 'CN=thief' }), clientId, spoofed));
    const without = await token(undefined, clientId, spoofed);
    assert.equal(without.status, 401);
    assert.match(without.json.error_description, /^client authentication is needed: /);
  });

  test('around nginx nobody is believed', async () => {
    const victim = await makeCertificate({ subject: 'CN=victim' });
    const { clientId } = await world.agent({ kind: 'certificate', certificate: victim.pem });
    const headers = { 'client-cert': field(victim) };
    assert.equal((await ask(world, { from: '127.0.0.1', headers, form: { client_id: clientId } })).status, 401);
  });

  test('metadata leads to nginx', async () => {
    const { json } = await tlsRequest(`${url}/.well-known/oauth-authorization-server`);
    assert.equal(json.mtls_endpoint_aliases.token_endpoint, `${url}/oauth2/token`);
    assert.equal(json.tls_client_certificate_bound_access_tokens, true);
    assert.ok(json.token_endpoint_auth_methods_supported.includes('tls_client_auth'));
  });
});

/** The map from PEM, which is all that nginx has, to RFC 9440 is the one of the guide. */
const clientCertMap = path.join(import.meta.dirname, '../examples/nginx/client-cert.conf');

function configOf(port: number, upstream: string): string {
  return `
    pid nginx.pid;
    events {}
    http {
      access_log off;
      client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
      include ${clientCertMap};
      server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate server.crt;
        ssl_certificate_key server.key;
        ssl_verify_client optional_no_ca;
        location / {
          proxy_pass ${upstream};
          proxy_bind ${proxyAddress};
          proxy_set_header Host $host;
          proxy_set_header Client-Cert $client_cert;
          proxy_set_header Client-Cert-Chain "";
        }
      }
    }`;
}
