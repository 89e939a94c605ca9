import assert from 'node:assert/strict';
import type { IncomingMessage, RequestListener } from 'node:http';
import { before, suite, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { inspect } from 'node:util';
import type { TestCertificate, TestName } from '../../server/src/testing/certificates.ts';
import { createAgent } from './index.ts';
import { authority, clientCertificate, listenTls, materialOf, serverCertificate } from './testing/tls.ts';
import { api, clientId, createWorld, failure, issuer, jwk } from './testing.ts';
import { createTlsFetch } from './tls-fetch.ts';

const me = 'spiffe://td.example/acme/robin/ins_1';
const peer = 'spiffe://td.example/acme/tickets/ins_2';
const noPlain = () => Promise.reject(new Error('went by the plain road'));

let own: TestCertificate;
let foreign: TestCertificate;
let host: TestCertificate;
let client: TestCertificate;

before(async () => {
  own = await authority('CN=Our trust domain');
  foreign = await authority('CN=Somebody else');
  host = await serverCertificate(own);
  client = await clientCertificate(own, me);
});

const asking = () => ({ requestCert: true, rejectUnauthorized: true, ca: [own.pem] });
const presented = (request: IncomingMessage) => (request.socket as TLSSocket).getPeerCertificate().subjectaltname;
const textOf = async (request: IncomingMessage) => {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  return text;
};
/** Says what it saw. */
const echo: RequestListener = async (request, response) => {
  const { method, url, headers } = request;
  const seen = {
    method,
    url,
    type: headers['content-type'],
    length: headers['content-length'],
    by: presented(request),
  };
  response.setHeader('set-cookie', ['a=1', 'b=2']).end(JSON.stringify({ ...seen, body: await textOf(request) }));
};

suite('fetch over TLS with a certificate', () => {
  test('presents it to a server that asks for one, and keeps the connection', async (t) => {
    const { url, connections } = await listenTls(t, host, asking(), echo);
    const { fetch } = createTlsFetch(materialOf(client, { ca: [own] }), noPlain);
    const first = await fetch(`${url}/a?b=c`);
    assert.equal(first.status, 200);
    assert.equal(first.url, `${url}/a?b=c`);
    assert.deepEqual(first.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.deepEqual(await first.json(), { method: 'GET', url: '/a?b=c', by: `URI:${me}`, body: '' });
    for (let i = 0; i < 5; i++) await (await fetch(url)).text();
    assert.equal(connections(), 1);
  });

  test('sends bodies of every kind', async (t) => {
    const { url } = await listenTls(t, host, asking(), echo);
    const { fetch } = createTlsFetch(materialOf(client, { ca: [own] }), noPlain);
    const form = new FormData();
    form.set('a', 'b');
    const cases: [body: NonNullable<RequestInit['body']>, sent: RegExp, type: RegExp | undefined][] = [
      ['text', /^text$/, /^text\/plain/],
      [new URLSearchParams({ a: 'b' }), /^a=b$/, /^application\/x-www-form-urlencoded/],
      [new TextEncoder().encode('bytes'), /^bytes$/, undefined],
      [new Blob(['blob'], { type: 'a/b' }), /^blob$/, /^a\/b$/],
      [form, /name="a"/, /^multipart\/form-data; boundary=/],
    ];
    for (const [body, sent, type] of cases) {
      const seen = (await (await fetch(url, { method: 'POST', body })).json()) as Record<string, string>;
      assert.match(seen.body ?? '', sent);
      assert.equal(Number(seen.length), Buffer.byteLength(seen.body ?? ''));
      if (type) assert.match(seen.type ?? '', type);
      else assert.equal(seen.type, undefined);
    }
    const stream = new Blob(['str', 'eam']).stream();
    const init = { method: 'PUT', body: stream, duplex: 'half' } as RequestInit;
    const seen = (await (await fetch(url, init)).json()) as Record<string, string>;
    assert.deepEqual([seen.method, seen.body, seen.length], ['PUT', 'stream', undefined]);
  });

  test('gives answers without a body, redirects, and long ones as they are', async (t) => {
    const megabyte = Buffer.alloc(1_000_000, 'x');
    const { url } = await listenTls(t, host, {}, (request, response) => {
      if (request.url === '/204') response.writeHead(204).end();
      else if (request.url === '/302') response.writeHead(302, { location: 'https://elsewhere.example/' }).end();
      else response.end(megabyte);
    });
    const { fetch } = createTlsFetch(materialOf(client, { ca: [own] }), noPlain);
    const empty = await fetch(`${url}/204`);
    assert.deepEqual([empty.status, empty.body, await empty.text()], [204, null, '']);
    const redirect = await fetch(`${url}/302`);
    assert.deepEqual([redirect.status, redirect.headers.get('location')], [302, 'https://elsewhere.example/']);
    await redirect.body?.cancel();
    const head = await fetch(url, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    assert.equal((await (await fetch(url)).bytes()).length, megabyte.length);
    const reader = (await fetch(url)).body?.getReader();
    assert.ok(((await reader?.read())?.value?.length ?? 0) > 0);
    await reader?.cancel();
  });

  test('an answer that is let go costs no connection', async (t) => {
    const { url, connections } = await listenTls(t, host, {}, (_, response) => void response.end('{"error":"x"}'));
    const { fetch } = createTlsFetch(materialOf(client, { ca: [own] }), noPlain);
    for (let i = 0; i < 5; i++) {
      await (await fetch(url)).body?.cancel();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await (await fetch(url)).text();
    assert.ok(connections() < 3, `${connections()} connections`);
  });

  test('ends with the signal, before the answer and within it', async (t) => {
    const stop = new AbortController();
    const { url } = await listenTls(t, host, {}, (request, response) => {
      if (request.url === '/body') response.write('a');
      else stop.abort(new Error('enough'));
    });
    const { fetch } = createTlsFetch(materialOf(client, { ca: [own] }), noPlain);
    await assert.rejects(fetch(url, { signal: stop.signal }));
    await assert.rejects(fetch(url, { signal: AbortSignal.abort(new Error('before')) }));
    const later = new AbortController();
    const response = await fetch(`${url}/body`, { signal: later.signal });
    later.abort();
    await assert.rejects(response.text());
  });

  test('what is sent on a connection that the server has just closed is sent again, unless that could do something twice', async (t) => {
    let closing = false;
    const { url } = await listenTls(t, host, {}, (request, response) => {
      if (closing) {
        closing = false;
        request.socket.destroy();
      } else response.end('ok');
    });
    const { fetch } = createTlsFetch(materialOf(client, { ca: [own] }), noPlain);
    await (await fetch(url)).text();
    closing = true;
    assert.equal(await (await fetch(url)).text(), 'ok');
    closing = true;
    await assert.rejects(fetch(url, { method: 'POST', body: 'x' }));
  });

  test('retired, it lets kept connections go, and what is under way ends as it would', async (t) => {
    let finish = () => {};
    const { url, server, connections } = await listenTls(t, host, {}, (request, response) => {
      if (request.url !== '/slow') return void response.end('ok');
      response.write('begun ');
      finish = () => response.end('done');
    });
    const tls = createTlsFetch(materialOf(client, { ca: [own] }), noPlain);
    await (await tls.fetch(url)).text();
    const slow = await tls.fetch(`${url}/slow`);
    await (await tls.fetch(url)).text();
    assert.equal(connections(), 2);
    tls.retire();
    finish();
    assert.equal(await slow.text(), 'begun done');
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  test('plain http takes the plain road', async () => {
    const { fetch } = createTlsFetch(materialOf(client), async (url) => new Response(url));
    assert.equal(await (await fetch('http://localhost/x')).text(), 'http://localhost/x');
  });

  test('shows its key to nobody', () => {
    const tls = createTlsFetch(materialOf(client, { ca: [own] }), noPlain);
    assert.ok(!inspect(tls, { depth: 20, showHidden: true }).includes('PRIVATE'));
    assert.equal(JSON.stringify(tls), '{}');
  });
});

suite('a server is refused', () => {
  const cases: [
    name: string,
    about: () => Promise<[TestCertificate, Parameters<typeof materialOf>[1], string?]>,
    code: RegExp,
  ][] = [
    ['that nobody vouches for', async () => [await serverCertificate(foreign), { bundle: [own] }], /UNABLE_TO_VERIFY/],
    [
      'of another name',
      async () => [await serverCertificate(own, [['dns', 'other.example']]), { ca: [own] }],
      /ALTNAME/,
    ],
    [
      'of the right SPIFFE ID and of another host, when no peer was named',
      async () => [await serverCertificate(own, [['url', peer]]), { ca: [own], bundle: [own] }],
      /ALTNAME/,
    ],
    [
      'of the right name, by our trust domain’s authority alone',
      async () => [host, { bundle: [own] }],
      /UNABLE_TO_VERIFY/,
    ],
    [
      'of another SPIFFE ID than the peer',
      async () => [await serverCertificate(own, [['url', `${peer}x`]]), { bundle: [own] }, peer],
      /SPIFFE_ID/,
    ],
    ['without a SPIFFE ID', async () => [host, { bundle: [own] }, peer], /SPIFFE_ID/],
    [
      'with two',
      async () => [
        await serverCertificate(own, [
          ['url', peer],
          ['url', me],
        ]),
        { bundle: [own] },
        peer,
      ],
      /SPIFFE_ID/,
    ],
    [
      'that hides the SPIFFE ID in another name',
      async () => [await serverCertificate(own, [['dns', `x, URI:${peer}`]]), { bundle: [own] }, peer],
      /SPIFFE_ID/,
    ],
    [
      'of the right SPIFFE ID, by an authority that is good for host names alone',
      async () => [await serverCertificate(foreign, [['url', peer]]), { ca: [foreign], bundle: [own] }, peer],
      /UNABLE_TO_VERIFY/,
    ],
  ];
  for (const [name, about, code] of cases) {
    test(name, async (t) => {
      const [certificate, trust, wanted] = await about();
      let visits = 0;
      const { url } = await listenTls(t, certificate, {}, (_, response) => {
        visits++;
        response.end();
      });
      const { fetch } = createTlsFetch(materialOf(client, trust), noPlain);
      await assert.rejects(fetch(url, wanted === undefined ? {} : { peer: wanted }), (error: { code?: string }) => {
        assert.match(error.code ?? '', code);
        return true;
      });
      assert.equal(visits, 0);
    });
  }

  test('whatever the environment says of certificates', async (t) => {
    const { url } = await listenTls(t, await serverCertificate(foreign), {}, (_, response) => void response.end());
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    t.after(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
    const { fetch } = createTlsFetch(materialOf(client, { bundle: [own] }), noPlain);
    await assert.rejects(fetch(url), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    await assert.rejects(fetch(url, { peer }), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  });

  test('and let in when it proves the SPIFFE ID that was wanted, whatever its host is called', async (t) => {
    const { url } = await listenTls(t, await serverCertificate(own, [['url', peer]]), asking(), echo);
    const { fetch } = createTlsFetch(materialOf(client, { bundle: [own] }), noPlain);
    const seen = (await (await fetch(url, { peer })).json()) as { by: string };
    assert.equal(seen.by, `URI:${me}`);
    // a connection that was verified for one peer is not another's
    await assert.rejects(fetch(url), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
    await assert.rejects(fetch(url, { ofIssuer: true }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    await assert.rejects(fetch(url, { peer: me }), { code: 'ERR_SPIFFE_ID_MISMATCH' });
  });

  test('whoever it is, told with what to do about it', async (t) => {
    const { url } = await listenTls(t, host, {}, echo);
    const agent = createAgent({ issuer: url, clientId, key: jwk, ca: foreign.pem });
    await assert.rejects(agent.token(), { code: 'network', message: /UNABLE_TO_VERIFY/, hint: /option ca/ });
    const believing = createAgent({ issuer: url, clientId, key: jwk, ca: [foreign.pem, own.pem] });
    await assert.rejects(believing.token(), { code: 'issuer_mismatch' });
  });

  test('who it is can be asked only on a connection of our own', async () => {
    const world = createWorld();
    assert.equal((await failure(world, () => world.agent.fetch(api, { peer }))).code, 'bad_option');
    assert.equal(world.withToken().length, 0);
    await assert.rejects(
      createTlsFetch(materialOf(client, { ca: [own] }), noPlain).fetch(issuer, { peer }),
      /plain road/,
    );
  });
});

suite('the issuer’s own server', () => {
  const names: TestName[] = [
    ['dns', 'localhost'],
    ['ip', '127.0.0.1'],
  ];
  const server: TestName = ['url', 'spiffe://td.example/_bailiwick/server'];
  const cases: [what: string, names: TestName[], by: () => TestCertificate, code: string | undefined][] = [
    ['says that it is, by our trust domain’s authority', [...names, server], () => own, undefined],
    ['has a certificate by another authority', names, () => foreign, undefined],
    ['is not an instance that has its name', [...names, ['url', me]], () => own, 'ERR_SPIFFE_ID_MISMATCH'],
    ['is not both', [...names, server, ['url', me]], () => own, 'ERR_SPIFFE_ID_MISMATCH'],
    [
      'is not called so somewhere below',
      [...names, ['url', `${me}/_bailiwick/server`]],
      () => own,
      'ERR_SPIFFE_ID_MISMATCH',
    ],
    ['is not at another host', [['dns', 'other.example'], server], () => own, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ];
  for (const [what, named, by, code] of cases) {
    test(what, async (t) => {
      const { url } = await listenTls(
        t,
        await serverCertificate(by(), named),
        {},
        (_, response) => void response.end(),
      );
      const { fetch } = createTlsFetch(materialOf(client, { ca: [foreign], bundle: [own] }), noPlain);
      if (code === undefined) assert.equal((await fetch(url, { ofIssuer: true })).status, 200);
      else await assert.rejects(fetch(url, { ofIssuer: true }), { code });
      // a connection that was verified for the issuer is nobody else's
      if (by() === own) await assert.rejects(fetch(url), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    });
  }
});
