import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeAuthority, makeCertificate, type TestCertificate } from '../testing/certificates.ts';
import { FetchError, type FetchFault, type Resolve, safeFetch, type Wanted } from './safe-fetch.ts';

// the certificates of the Web are judged by the machine's clock, whatever it says
const always = { from: Date.UTC(2000, 0), until: Date.UTC(2049, 0) };
const serverAuth = ['1.3.6.1.5.5.7.3.1'];
const wanted: Wanted = { types: ['application/json'], maxBytes: 1000 };
const secret = 'what-the-other-side-wrote';

let folder: string;
let authority: TestCertificate;
let certificate: TestCertificate;
let caFile: string;
const open: { server: Server; sockets: Set<Socket> }[] = [];

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-fetch-'));
  authority = await makeAuthority('CN=Test Web', always);
  certificate = await webCertificate();
  caFile = path.join(folder, 'ca.pem');
  writeFileSync(caFile, authority.pem);
});
after(async () => {
  for (const { server, sockets } of open) {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
  rmSync(folder, { recursive: true });
});

const webCertificate = (more: Parameters<typeof makeCertificate>[0] = {}) =>
  makeCertificate({
    ...always,
    issuer: authority,
    names: [
      ['dns', 'localhost'],
      ['dns', 'id.partner.example'],
      ['ip', '127.0.0.1'],
    ],
    purposes: serverAuth,
    ...more,
  });

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  open.push({ server, sockets });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** An https server that answers as it is told. */
const https = (answer: RequestListener, shown: { chain: string; key: string } = certificate) =>
  listening(createServer({ cert: shown.chain, key: shown.key }, answer));

/** As a server somewhere would: a public issuer, or one on loopback like that of a test. */
function fetcher({
  issuer = 'http://localhost:8455',
  seconds = 5,
  networks = [],
  resolve,
}: {
  issuer?: string;
  seconds?: number;
  networks?: string[];
  resolve?: Resolve;
} = {}) {
  const outbound = { ca_file: caFile, timeout_seconds: seconds, dangerously_private_networks: networks };
  return safeFetch({ issuer, outbound }, resolve);
}

const json: RequestListener = (_, response) =>
  response.writeHead(200, { 'content-type': 'application/json' }).end('{}');

async function refusal(running: Promise<unknown>, code: FetchFault, sentence: RegExp): Promise<void> {
  const error = await running.then(
    () => assert.fail('it was fetched'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof FetchError, String(error));
  assert.match(error.message, sentence);
  assert.equal(error.code, code, error.message);
  assert.doesNotMatch(error.message, new RegExp(secret));
}

test('gets a document over https, with the authorities of the file', async () => {
  const heard: Record<string, unknown>[] = [];
  const port = await https((request, response) => {
    heard.push({
      method: request.method,
      url: request.url,
      host: request.headers.host,
      accept: request.headers.accept,
    });
    response.writeHead(200, { 'content-type': 'Application/JSON; charset=utf-8' }).end('{"keys":[]}');
  });
  const { type, body } = await fetcher()(`https://localhost:${port}/a/b?c=d`, wanted);
  assert.equal(type, 'application/json');
  assert.equal(body.toString(), '{"keys":[]}');
  assert.deepEqual(heard, [{ method: 'GET', url: '/a/b?c=d', host: `localhost:${port}`, accept: 'application/json' }]);
  assert.equal((await fetcher()(`https://127.0.0.1:${port}/`, wanted)).body.length, 11);
});

test('sends what it is given, and answers whatever is answered but a redirect', async () => {
  const heard: unknown[] = [];
  const port = await https(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { method, headers } = request;
    heard.push([method, headers['content-type'], headers.authorization, Buffer.concat(parts).toString()]);
    if (request.url === '/moved') response.writeHead(307, { location: 'https://elsewhere.example/' }).end();
    else response.writeHead(400, { 'content-type': 'text/plain', 'x-why': 'so' }).end('no');
  });
  const send = { method: 'POST' as const, headers: { 'content-type': 'application/x', authorization: 'a' }, body: 'ü' };
  const answered = await fetcher()(`https://localhost:${port}/`, { ...wanted, send, anyStatus: true });
  assert.deepEqual(heard, [['POST', 'application/x', 'a', 'ü']]);
  assert.deepEqual(
    [answered.status, answered.type, answered.headers['x-why'], answered.body.toString()],
    [400, 'text/plain', 'so', 'no'],
  );
  await refusal(fetcher()(`https://localhost:${port}/`, { ...wanted, send }), 'unusable', /answered with 400/);
  const moved = fetcher()(`https://localhost:${port}/moved`, { ...wanted, send, anyStatus: true });
  await refusal(moved, 'unusable', /redirect/);
});

test('gives up when it is told to, before or while it waits', async () => {
  const port = await https(() => {});
  const cut = new AbortController();
  const running = fetcher()(`https://localhost:${port}/`, { ...wanted, signal: cut.signal });
  cut.abort();
  await refusal(running, 'timeout', /not waited for/);
  await refusal(
    fetcher()(`https://localhost:${port}/`, { ...wanted, signal: cut.signal }),
    'timeout',
    /not waited for/,
  );
});

test('connects to the very address that was looked at: the name is asked once', async () => {
  const port = await https(json);
  let asked = 0;
  const resolve: Resolve = async (host) => {
    assert.equal(host, 'id.partner.example');
    asked += 1;
    // what a rebinding name server does: a harmless answer first, then another
    return [{ address: asked === 1 ? '127.0.0.1' : '127.9.9.9', family: 4 }];
  };
  assert.equal((await fetcher({ resolve })(`https://id.partner.example:${port}/`, wanted)).body.toString(), '{}');
  assert.equal(asked, 1);
});

test('of several addresses the open ones are tried, and no other', async () => {
  const port = await https(json);
  const resolve: Resolve = async () => [
    { address: '10.0.0.1', family: 4 },
    { address: '127.0.0.1', family: 4 },
    { address: 'fd00::1', family: 6 },
  ];
  assert.ok(await fetcher({ resolve })(`https://id.partner.example:${port}/`, wanted));
});

test('a private network that was named is open', async () => {
  const port = await https(json);
  const networks = ['127.0.0.1/32'];
  assert.ok(await fetcher({ issuer: 'https://id.example.com', networks })(`https://127.0.0.1:${port}/`, wanted));
});

describe('refuses, without asking anyone,', () => {
  const issuer = 'https://id.example.com';
  const to =
    (...addresses: string[]): Resolve =>
    async () =>
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  const nobody: Resolve = async () => assert.fail('a name was asked');
  const rows: [what: string, url: string, sentence: RegExp, resolve?: Resolve][] = [
    ['plain http', 'http://id.partner.example/', /must begin with https/],
    ['plain http to itself', 'http://localhost:1/', /must begin with https/],
    ['another scheme', 'file:///etc/passwd', /must begin with https/],
    ['no URL at all', 'id.partner.example', /is none/],
    ['credentials in the URL', `https://ada:${secret}@id.partner.example/`, /user name or password/],
    ['a user in the URL', 'https://ada@id.partner.example/', /user name or password/],
    ['a fragment', 'https://id.partner.example/#keys', /fragment/],
    ['a URL without end', `https://id.partner.example/${'a'.repeat(2100)}`, /longer than 2048/],
    ['loopback by number', 'https://127.0.0.1/', /not public/],
    ['loopback by another number', 'https://0x7f.1/', /not public/],
    ['loopback as one number', 'https://2130706433/', /not public/],
    ['loopback in IPv6', 'https://[::1]/', /not public/],
    ['IPv4 loopback mapped into IPv6', 'https://[::ffff:127.0.0.1]/', /not public/],
    ['IPv4 loopback behind NAT64', 'https://[64:ff9b::7f00:1]/', /not public/],
    ['the metadata of a cloud', 'https://169.254.169.254/latest', /not public/],
    ['a name that leads to loopback', 'https://id.partner.example/', /leads to an address/, to('127.0.0.1')],
    [
      'a name that leads to a private address',
      'https://id.partner.example/',
      /leads to an address/,
      to('10.1.2.3', 'fd00::1'),
    ],
    ['a name that leads to mapped loopback', 'https://id.partner.example/', /leads to/, to('::ffff:127.0.0.1')],
    ['a name that leads nowhere', 'https://id.partner.example/', /leads nowhere/, to()],
  ];
  for (const [what, url, sentence, resolve = nobody] of rows) {
    const code = /nowhere/.test(sentence.source) ? 'unreachable' : 'refused';
    test(what, () => refusal(fetcher({ issuer, resolve })(url, wanted), code, sentence));
  }

  test('a private address, from a server that is on loopback itself', () =>
    refusal(fetcher({ resolve: to('192.168.1.1') })('https://id.partner.example/', wanted), 'refused', /leads to/));

  test('an address that was not looked at, wherever the connection went', async () => {
    const port = await https(json);
    let asked = 0;
    const resolve: Resolve = async () => [{ address: asked++ === 0 ? '93.184.215.14' : '127.0.0.1', family: 4 }];
    const one = fetcher({ issuer, seconds: 1, resolve })(`https://id.partner.example:${port}/`, wanted);
    await assert.rejects(one, FetchError); // loopback is never reached: what was looked at is a public address
    assert.equal(asked, 1);
  });

  test('a name that can not be looked up', () => {
    const resolve: Resolve = async () => {
      throw Object.assign(new Error(secret), { code: 'ENOTFOUND' });
    };
    return refusal(fetcher({ issuer, resolve })('https://id.partner.example/', wanted), 'unreachable', /leads nowhere/);
  });
});

describe('does not take', () => {
  const answers: [what: string, answer: RequestListener, sentence: RegExp][] = [
    ['a redirect', (_, r) => r.writeHead(302, { location: `https://${secret}.example/` }).end(), /redirect \(302\)/],
    ['a redirect for good', (_, r) => r.writeHead(308, { location: `/${secret}` }).end(), /redirect \(308\)/],
    ['an error', (_, r) => r.writeHead(500, { 'content-type': 'application/json' }).end(secret), /answered with 500/],
    ['another success', (_, r) => r.writeHead(204).end(), /answered with 204/],
    [
      'a page',
      (_, r) => r.writeHead(200, { 'content-type': 'text/html' }).end(secret),
      /did not send application\/json/,
    ],
    ['no type', (_, r) => r.writeHead(200).end(secret), /did not send application\/json/],
    [
      'more than it says it wants',
      (_, r) => r.writeHead(200, { 'content-type': 'application/json', 'content-length': 1001 }).end('x'.repeat(1001)),
      /wants to send more than 1000/,
    ],
    [
      '100 MB without a length',
      (_, r) => {
        r.writeHead(200, { 'content-type': 'application/json' });
        const part = Buffer.alloc(64 * 1024, 'x');
        let left = 1600;
        const more = () => {
          while (left-- > 0) if (!r.write(part)) return void r.once('drain', more);
          r.end();
        };
        more();
      },
      /sent more than 1000 bytes/,
    ],
    [
      'what is compressed',
      (_, r) => r.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(secret),
      /compressed/,
    ],
    [
      'half an answer',
      (_, r) => {
        r.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 });
        r.write(secret, () => r.socket?.destroy());
      },
      /broke off/,
    ],
    ['no answer', (_, r) => void r.socket?.destroy(), /did not answer as HTTP has it/],
    [
      'headers without end',
      (_, r) => r.writeHead(200, { 'content-type': 'application/json', 'x-more': secret.repeat(1000) }).end('{}'),
      /more than 16384 bytes of headers/,
    ],
    ['no HTTP', (_, r) => void r.socket?.end(`${secret}\r\n\r\n`), /did not answer as HTTP has it/],
    [
      'another protocol',
      (_, r) => void r.socket?.end('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
      /protocol|did not answer/,
    ],
  ];
  for (const [what, answer, sentence] of answers) {
    test(what, async () => {
      const port = await https(answer);
      await refusal(fetcher()(`https://localhost:${port}/`, wanted), 'unusable', sentence);
    });
  }

  const untrusted: [what: string, more: Parameters<typeof makeCertificate>[0]][] = [
    ['an expired certificate', { until: Date.UTC(2001, 0) }],
    ['a certificate of nobody', { issuer: undefined, subject: 'CN=localhost' }],
    ['the certificate of another host', { names: [['dns', 'else.example']] }],
  ];
  for (const [what, more] of untrusted) {
    test(what, async () => {
      const port = await https(json, await webCertificate(more));
      await refusal(fetcher()(`https://localhost:${port}/`, wanted), 'untrusted', /certificate of localhost:\d+/);
    });
  }

  test('an unknown certificate, even where the environment would', async () => {
    const port = await https(json, await webCertificate({ issuer: undefined, subject: 'CN=localhost' }));
    const { NODE_TLS_REJECT_UNAUTHORIZED: before } = process.env;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      await refusal(fetcher()(`https://localhost:${port}/`, wanted), 'untrusted', /not to be trusted/);
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
  });

  test('plain http where https should be', async () => {
    const port = await listening(createHttpServer(json));
    await refusal(fetcher()(`https://localhost:${port}/`, wanted), 'unreachable', /can't be connected to/);
  });

  test('silence from nobody', async () => {
    const port = await listening(createTcpServer());
    await new Promise((resolve) => open.pop()?.server.close(resolve));
    await refusal(fetcher()(`https://localhost:${port}/`, wanted), 'unreachable', /ECONNREFUSED/);
  });
});

describe('gives up after its time,', () => {
  const late = /did not answer in full within 1 s/;
  const seconds = 1;

  test('whatever hangs', async () => {
    const mute = await listening(createTcpServer(() => {}));
    const silent = await https(() => {});
    const half = await https((_, r) => void r.writeHead(200, { 'content-type': 'application/json' }).write('{'));
    const drip = await https((_, r) => {
      r.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => r.write(' '), 20);
      r.once('close', () => clearInterval(timer));
    });
    const dripping = await https((_, { socket }) => {
      socket?.write('HTTP/1.1 200 OK\r\n');
      const timer = setInterval(() => socket?.write('x-more: y\r\n'), 20);
      socket?.once('close', () => clearInterval(timer));
    });
    const unanswered: Resolve = () => new Promise(() => {});
    const hanging: [what: string, running: Promise<unknown>][] = [
      ['the handshake', fetcher({ seconds })(`https://localhost:${mute}/`, wanted)],
      ['the headers', fetcher({ seconds })(`https://localhost:${silent}/`, wanted)],
      ['the body', fetcher({ seconds })(`https://localhost:${half}/`, wanted)],
      ['a body in drops', fetcher({ seconds })(`https://localhost:${drip}/`, wanted)],
      ['headers in drops', fetcher({ seconds })(`https://localhost:${dripping}/`, wanted)],
      ['the name', fetcher({ seconds, resolve: unanswered })('https://id.partner.example/', wanted)],
    ];
    await Promise.all(hanging.map(([, running]) => refusal(running, 'timeout', late)));
  });
});

describe('with a verifier of its own', () => {
  test('the Web’s authorities are not asked, and the chain is what the other side presented', async () => {
    const other = await makeAuthority('CN=Other', always);
    const middle = await makeAuthority('CN=Between', { ...always, issuer: other });
    const leaf = await makeCertificate({ ...always, issuer: middle, names: [['url', 'spiffe://partner.example/id']] });
    const port = await https(json, { chain: leaf.pem + middle.pem, key: leaf.key });
    let chain: Buffer[] = [];
    const verify = (presented: Buffer[]) => {
      chain = presented;
    };
    assert.ok(await fetcher()(`https://localhost:${port}/`, { ...wanted, verify }));
    assert.deepEqual(chain.slice(0, 2), [leaf.der, middle.der]);
  });

  test('nothing is sent to who does not pass', async () => {
    let asked = 0;
    const port = await https((request, response) => {
      asked += 1;
      json(request, response);
    });
    const verify = () => {
      throw new Error('it is somebody else');
    };
    const running = fetcher()(`https://localhost:${port}/`, { ...wanted, verify });
    await refusal(running, 'untrusted', /localhost:\d+ is not who it should be: it is somebody else/);
    assert.equal(asked, 0);
  });
});

test('a file of authorities that can not be used stops the start with a sentence', () => {
  const missing = path.join(folder, 'missing.pem');
  const without = path.join(folder, 'empty.pem');
  writeFileSync(without, 'nothing');
  const started = (file: string) => () =>
    safeFetch({
      issuer: 'https://id.example.com',
      outbound: { ca_file: file, timeout_seconds: 5, dangerously_private_networks: [] },
    });
  assert.throws(started(missing), /outbound\.ca_file: .*missing\.pem can't be read \(ENOENT\)/);
  assert.throws(started(without), /outbound\.ca_file: .*empty\.pem has no certificate in PEM/);
});
