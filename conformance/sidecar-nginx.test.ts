/** A real nginx with the configuration that we ship (examples/sidecar) before a service, and the guard's sidecar beside it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseChallenges } from '@bailiwick/protocol';
import { type TestCertificate as Made, testCertificate } from '../packages/guard/src/testing/certificates.ts';
import { operations } from '../packages/guard/src/testing/fake-issuer.ts';
import { type SidecarWorld, sidecarWorld } from '../packages/guard/src/testing/sidecar-world.ts';
import { systemTool } from '../packages/server/src/testing/system-tool.ts';
import { runNginx } from './nginx.ts';

const nginx = systemTool('nginx');
const example = path.resolve(import.meta.dirname, '../examples/sidecar');

interface Reply {
  status: number;
  /** By lower-case name, each occurrence apart. */
  headers: Record<string, string[]>;
  body: string;
}

describe('nginx and the sidecar', { skip: 'skip' in nginx && nginx.skip }, () => {
  let world: SidecarWorld;
  let service: Server;
  let proxy: Awaited<ReturnType<typeof runNginx>>;
  /** What arrived at the service. */
  const arrived: { method: string; url: string; headers: IncomingHttpHeaders; raw: string[] }[] = [];

  before(async () => {
    world = await sidecarWorld('nginx', ['--dpop-nonce', 'off'], { operations });
    service = createServer(({ method = '', url = '', headers, rawHeaders }, response) => {
      arrived.push({ method, url, headers, raw: rawHeaders });
      response.writeHead(url.startsWith('/v1/tickets/500') ? 500 : 200).end('from the service');
    });
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    proxy = await runNginx(nginxPath(), (port) => inFront(port, new URL(world.sidecar.url).host, service));
  });
  after(async () => {
    await proxy.close();
    service.close();
    await world.end();
  });

  /** A request line and headers as they are, so that nothing on our side tidies the path. */
  const send = (lines: string[], body = ''): Promise<Reply> => sendRaw(proxy.port, lines, body);
  const asAgent = async (method = 'GET', uri = '/v1/tickets', more: string[] = [], body = '') => {
    const { headers } = await world.agent.request(method, uri.replace(/^\/v1|\?.*$/g, ''));
    const own = [`authorization: ${headers.authorization?.[0]}`, `dpop: ${headers.dpop?.[0]}`];
    return send([`${method} ${uri} HTTP/1.1`, ...own, ...more], body);
  };

  test('an agent passes, the service learns who it is, and has no token to leak', async () => {
    const { status, body } = await asAgent('GET', '/v1/tickets/7?x=%2F1&y=a%20b');
    assert.deepEqual([status, body], [200, 'from the service']);
    const { url, headers } = arrived.at(-1)!;
    assert.equal(url, '/v1/tickets/7?x=%2F1&y=a%20b', 'as it was sent');
    assert.equal(headers['x-bailiwick-agent'], 'agt_reader');
    assert.equal(headers['x-bailiwick-operation'], 'read ticket');
    assert.equal(headers['x-bailiwick-scope'], 'tickets:read');
    assert.ok(!('x-bailiwick-task' in headers));
    assert.ok(!('authorization' in headers) && !('dpop' in headers));
  });

  test('what a client says in our headers never arrives', async () => {
    const forged = [
      'Agent',
      'Subject',
      'Person',
      'Chain',
      'Organization',
      'Scope',
      'Task',
      'Operation',
      'Status',
      'Problem',
    ];
    const { status } = await asAgent('GET', '/v1/tickets', [
      ...forged.map((name) => `X-Bailiwick-${name}: forged`),
      'x_bailiwick_agent: forged',
      'X-BAILIWICK-AGENT: forged',
    ]);
    assert.equal(status, 200);
    const told = arrived.at(-1)!.headers;
    for (const name of ['agent', 'subject', 'person', 'chain', 'organization', 'scope', 'task', 'operation']) {
      assert.notEqual(told[`x-bailiwick-${name}`], 'forged', name);
    }
    assert.ok(!arrived.at(-1)!.raw.includes('x_bailiwick_agent'), 'nginx drops names with underscores');
  });

  test('a body reaches the service, and not the guard', async () => {
    const claims = { scope: 'tickets:read tickets:write' };
    const { headers } = await world.agent.request('POST', '/tickets/7/close', { claims });
    const own = [`authorization: ${headers.authorization?.[0]}`, `dpop: ${headers.dpop?.[0]}`, 'content-length: 5'];
    const { status } = await send(['POST /v1/tickets/7/close HTTP/1.1', ...own], 'hello');
    assert.equal(status, 200);
    assert.equal(arrived.at(-1)?.headers['content-length'], '5');
    assert.equal(arrived.at(-1)?.method, 'POST');
  });

  test('refusals reach the client whole: status, challenge and problem', async () => {
    const count = arrived.length;
    const nobody = await send(['GET /v1/tickets HTTP/1.1']);
    assert.equal(nobody.status, 401);
    const [challenge, ...more] = nobody.headers['www-authenticate'] ?? [];
    assert.deepEqual(more, [], 'said once');
    assert.equal(
      parseChallenges(challenge!)[0]?.params.resource_metadata,
      'https://api.example/.well-known/oauth-protected-resource/v1',
    );
    assert.deepEqual(nobody.headers['content-type'], ['application/problem+json']);
    assert.equal(JSON.parse(nobody.body).title, 'An access token is missing');
    assert.deepEqual(nobody.headers['cache-control'], ['no-store']);

    const narrow = await asAgent('POST', '/v1/tickets/7/close', ['content-length: 0']);
    assert.equal(narrow.status, 403);
    assert.equal(narrow.headers['www-authenticate']?.length, 1);
    assert.equal(
      parseChallenges(narrow.headers['www-authenticate']![0]!)[0]?.params.scope,
      'tickets:read tickets:write',
    );
    assert.equal(JSON.parse(narrow.body).error, 'insufficient_scope');

    const unlisted = await asAgent('GET', '/v1/secrets');
    assert.deepEqual([unlisted.status, unlisted.headers['www-authenticate']], [403, undefined]);
    assert.equal(arrived.length, count, 'the service heard of none of them');
    for (const { headers } of [nobody, narrow, unlisted]) {
      assert.deepEqual(
        Object.keys(headers).filter((name) => name.startsWith('x-bailiwick')),
        [],
      );
    }
  });

  for (const target of [
    '/v1%2Ftickets',
    '/v1/x/../tickets',
    '/v1/x/%2e%2e/tickets',
    '/v1/x/..%2ftickets',
    '/v1//tickets',
    '//v1/tickets',
    '//evil.example/v1/tickets',
    '/v1/tickets/',
    '/v1/tickets;x',
    '/v1/TICKETS',
    '/v1/tickets%00',
    '/v1/%74ickets',
    '/v1/tickets/7%2fclose',
    '/v1/x/%252e%252e/tickets',
    '/v1/tickets?access_token=x',
  ]) {
    test(`a path that can be misread is refused, and its status is the guard's: ${target}`, async () => {
      const count = arrived.length;
      const { status, body } = await asAgent('GET', target);
      assert.ok([400, 401, 403].includes(status), `${status}`);
      if (status !== 400 || body.startsWith('{')) assert.equal(JSON.parse(body).status, status);
      assert.equal(arrived.length, count);
    });
  }

  test('an absolute URI is what it says: its path is asked about, and passed on', async () => {
    const reply = await asAgent('GET', '/v1/tickets');
    assert.equal(reply.status, 200);
    const { headers } = await world.agent.request('GET', '/tickets');
    const own = [`authorization: ${headers.authorization?.[0]}`, `dpop: ${headers.dpop?.[0]}`];
    const absolute = await send(['GET http://evil.example/v1/tickets HTTP/1.1', ...own]);
    assert.equal(absolute.status, 200);
    assert.equal(arrived.at(-1)?.url, '/v1/tickets');
  });

  test('what the client says of its address and its request is not read', async () => {
    const { headers } = await world.agent.request('GET', '/tickets', { claims: { ctx: { ip: ['10.0.0.0/8'] } } });
    const own = [`authorization: ${headers.authorization?.[0]}`, `dpop: ${headers.dpop?.[0]}`];
    const forged = ['X-Forwarded-For: 10.0.0.7', 'Forwarded: for=10.0.0.7', 'X-Real-IP: 10.0.0.7'];
    assert.equal((await send(['GET /v1/tickets HTTP/1.1', ...own, ...forged])).status, 401);
    const count = arrived.length;
    const original = ['X-Original-Method: GET', 'X-Original-URI: /v1/tickets', 'X-Forwarded-Uri: /v1/tickets'];
    assert.equal((await asAgent('GET', '/v1/secrets', original)).status, 403);
    assert.equal(arrived.length, count);
  });

  test('nobody asks the guard but nginx itself', async () => {
    for (const target of ['/_bailiwick/check', '/_bailiwick/check?x', '/_bailiwick//check', '//_bailiwick/check']) {
      const { status } = await send([
        `GET ${target} HTTP/1.1`,
        'X-Original-Method: GET',
        'X-Original-URI: /v1/tickets',
      ]);
      assert.ok([400, 401, 403, 404].includes(status), `${target}: ${status}`);
    }
  });

  test('the metadata is for everybody', async () => {
    const { status, body } = await send(['GET /.well-known/oauth-protected-resource/v1 HTTP/1.1']);
    assert.equal(status, 200);
    assert.equal(JSON.parse(body).resource, 'https://api.example/v1');
  });

  test('what the service itself answers is its own', async () => {
    const { status, body } = await asAgent('GET', '/v1/tickets/500');
    assert.deepEqual([status, body], [500, 'from the service']);
  });

  test('the identity provider is away: 503, and when to come again', async (context) => {
    const cut = await sidecarWorld('nginx');
    cut.fake.away = true;
    const before = await runNginx(nginxPath(), (port) => inFront(port, new URL(cut.sidecar.url).host, service));
    context.after(async () => {
      await before.close();
      await cut.end();
    });
    const { headers } = await cut.agent.request('GET', '/tickets');
    const own = [`authorization: ${headers.authorization?.[0]}`, `dpop: ${headers.dpop?.[0]}`];
    const count = arrived.length;
    const reply = await sendRaw(before.port, ['GET /v1/tickets HTTP/1.1', ...own]);
    assert.deepEqual([reply.status, reply.headers['retry-after']], [503, ['1']]);
    assert.equal(JSON.parse(reply.body).title, 'The access token cannot be checked right now');
    assert.equal(arrived.length, count);
  });

  test('a token that is bound to a certificate passes with that, and a header of the client’s is none', async (context) => {
    const [own, another, server] = ['agent', 'agent', 'server'].map((name) => testCertificate(name)) as [
      Made,
      Made,
      Made,
    ];
    const bound = await sidecarWorld('nginx', ['--client-certificates'], { operations });
    const before = await runNginx(nginxPath(), (port, file) => {
      writeFileSync(file('server.pem'), server.cert);
      writeFileSync(file('server.key'), server.key, { mode: 0o600 });
      // as the guide has it
      const text = readFileSync(path.join(example, 'bailiwick-server.conf'), 'utf8');
      writeFileSync(file('bailiwick-server.conf'), text.replace('Client-Cert ""', 'Client-Cert $client_cert'));
      const plain = inFront(port, new URL(bound.sidecar.url).host, service);
      return `include ${path.join(example, '../nginx/client-cert.conf')};\n${plain}`
        .replace(`127.0.0.1:${port};`, `127.0.0.1:${port} ssl;`)
        .replace(
          /include \S+bailiwick-server\.conf;/,
          `include ${file('bailiwick-server.conf')};
          ssl_certificate ${file('server.pem')}; ssl_certificate_key ${file('server.key')}; ssl_verify_client optional_no_ca;`,
        );
    });
    context.after(async () => {
      await before.close();
      await bound.end();
    });
    const thumbprint = createHash('sha256').update(own.der).digest('base64url');
    const token = await bound.agent.token({ cnf: { 'x5t#S256': thumbprint } });
    const statusWith = (certificate: Made | undefined, headers: Record<string, string> = {}) =>
      new Promise<number | undefined>((resolve, reject) => {
        const tls = certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key };
        const options = {
          host: '127.0.0.1',
          port: before.port,
          path: '/v1/tickets',
          agent: false,
          rejectUnauthorized: false,
        };
        httpsRequest({ ...options, ...tls, headers: { authorization: `Bearer ${token}`, ...headers } }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode));
        })
          .on('error', reject)
          .end();
      });
    const forged = { 'client-cert': `:${own.der.toString('base64')}:` };
    assert.equal(await statusWith(own), 200);
    assert.equal(await statusWith(another), 401);
    assert.equal(await statusWith(undefined), 401);
    assert.equal(await statusWith(undefined, forged), 401);
    assert.equal(await statusWith(another, forged), 401);
  });

  test('the guard is not there: 503, and no open door', async (context) => {
    const before = await runNginx(nginxPath(), (port) => inFront(port, '127.0.0.1:1', service));
    context.after(() => before.close());
    const count = arrived.length;
    const reply = await sendRaw(before.port, ['GET /v1/tickets HTTP/1.1']);
    assert.deepEqual([reply.status, reply.headers['retry-after']], [503, ['1']]);
    assert.equal(JSON.parse(reply.body).status, 503);
    assert.equal(arrived.length, count);
  });
});

function nginxPath(): string {
  return 'path' in nginx ? nginx.path : assert.fail(nginx.skip);
}

/** As examples/sidecar/nginx.conf has it, with ports of our own. */
function inFront(port: number, guard: string, service: Server): string {
  return `
  upstream bailiwick { server ${guard}; keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    include ${path.join(example, 'bailiwick-server.conf')};
    location / {
      include ${path.join(example, 'bailiwick-guarded.conf')};
      proxy_pass http://127.0.0.1:${(service.address() as AddressInfo).port};
      proxy_set_header Host $http_host;
    }
  }`;
}

function sendRaw(port: number, [line = '', ...headers]: string[], body = ''): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(port, '127.0.0.1').setEncoding('latin1');
    socket.on('error', reject).on('data', (chunk: string) => (said += chunk));
    socket.on('end', () => {
      const [head = '', ...rest] = said.split('\r\n\r\n');
      const [status = '', ...fields] = head.split('\r\n');
      const found: Reply['headers'] = {};
      for (const field of fields) {
        const [, name = '', value = ''] = /^([^:]+):\s*(.*)$/.exec(field) ?? [];
        found[name.toLowerCase()] = [...(found[name.toLowerCase()] ?? []), value];
      }
      const text = rest.join('\r\n\r\n');
      const whole = found['transfer-encoding']
        ? text.replace(/^[0-9a-f]+\r\n|\r\n0\r\n\r\n$/g, '').replace(/\r\n0$/, '')
        : text;
      resolve({ status: Number(status.split(' ')[1]), headers: found, body: whole });
    });
    socket.write([line, 'Host: api.example', 'Connection: close', ...headers, '', body].join('\r\n'));
  });
}
