/** Token Status List (draft-ietf-oauth-status-list-20), read as a verifier would who knows nothing else of us: by `jose` and zlib. */
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { gunzipSync, inflateSync } from 'node:zlib';
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose';
import { tidy } from '../packages/server/src/jobs.ts';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';
import { databases } from './world.ts';

interface Status {
  idx: number;
  uri: string;
}

for (const database of databases) {
  describe(`Token Status List, on ${database}`, () => {
    let server: TestServer;
    let other: TestServer;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      other = await startServer({ joins: server });
      client = await listed();
    });
    after(async () => {
      await other.close();
      await server.close();
    });

    const listed = () => tokenClient(server, { token: { status_list: true } });
    const token = async (of = client, parameters = {}) => {
      const { status, body } = await of.send(parameters);
      assert.equal(status, 200, JSON.stringify(body));
      return String(body.access_token);
    };
    const statusOf = (jwt: string) =>
      (decodeJwt(jwt) as unknown as { status: { status_list: Status } }).status.status_list;

    /** All that the draft asks of a relying party (§8.3), at one node or the other. */
    async function read(jwt: string, node: TestServer = server): Promise<number> {
      const { idx, uri } = statusOf(jwt);
      const response = await fetch(uri.replace(server.issuer, node.address), {
        headers: { accept: 'application/statuslist+jwt' },
      });
      assert.equal(response.status, 200, await response.clone().text());
      assert.equal(response.headers.get('content-type'), 'application/statuslist+jwt');
      const keys = createRemoteJWKSet(new URL(`${server.issuer}/oauth2/jwks`));
      const { payload } = await jwtVerify(await response.text(), keys, {
        typ: 'statuslist+jwt',
        subject: uri,
        issuer: server.issuer,
        requiredClaims: ['iat', 'exp', 'ttl', 'status_list'],
        currentDate: new Date(server.clock.now()),
      });
      const { bits, lst } = payload.status_list as { bits: number; lst: string };
      assert.equal(bits, 1);
      const bytes = inflateSync(Buffer.from(lst, 'base64url'));
      assert.ok(idx < bytes.length * 8, 'the index lies in the list');
      return ((bytes[idx >> 3] as number) >> (idx & 7)) & 1;
    }

    const revoked = (path: string) => server.admin('POST', path, { reason: 'a test' });

    test('a token of a resource that wants it names its place; one of another resource names none', async () => {
      const { idx, uri } = statusOf(await token());
      assert.ok(Number.isInteger(idx) && idx >= 0);
      assert.ok(uri.startsWith(`${server.issuer}/status-lists/`));
      const plain = await tokenClient(server);
      assert.equal(decodeJwt(await token(plain)).status, undefined);
      await server.admin('PATCH', `/resources/${plain.resource}`, { token: { status_list: true } });
      assert.ok(statusOf(await token(plain)));
      assert.equal(await read(await token(plain)), 0);
    });

    test('a token that lives is valid, at every node', async () => {
      const jwt = await token();
      assert.deepEqual([await read(jwt), await read(jwt, other)], [0, 0]);
    });

    test('a revoked token is invalid on every node as soon as it was answered, and its neighbours are not', async () => {
      const [dead, alive] = [await token(), await token()];
      assert.deepEqual([await read(dead), await read(dead, other)], [0, 0]); // both nodes remember the list
      const response = await fetch(`${server.issuer}/oauth2/revoke`, {
        method: 'POST',
        body: new URLSearchParams({ ...(await client.form()), token: dead }),
      });
      assert.equal(response.status, 200);
      assert.deepEqual([await read(dead, other), await read(dead)], [1, 1]);
      assert.deepEqual([await read(alive), await read(alive, other)], [0, 0]);
    });

    const ends: [string, (of: TokenClient) => Promise<unknown>][] = [
      ['its agent', (of) => revoked(`/agents/${of.clientId}/retire`)],
      ['its credential', (of) => server.admin('DELETE', `/credentials/${of.credential}`)],
      ['its role', (of) => server.admin('DELETE', `/agents/${of.clientId}/roles/${of.role}`)],
      [
        'a part of its resource',
        (of) =>
          server.admin('PATCH', `/resources/${of.resource}`, { operations: [], scopes: [{ name: 'tickets:read' }] }),
      ],
    ];
    for (const [what, end] of ends) {
      test(`a token is invalid once ${what} was taken away`, async () => {
        const one = await listed();
        const jwt = await token(one);
        assert.equal(await read(jwt, other), 0);
        await end(one);
        assert.deepEqual([await read(jwt), await read(jwt, other)], [1, 1]);
      });
    }

    test('what was suspended and resumed stays invalid; what is issued after is valid', async () => {
      const one = await listed();
      const before = await token(one);
      await revoked(`/agents/${one.clientId}/suspend`);
      assert.equal(await read(before), 1);
      await server.admin('POST', `/agents/${one.clientId}/resume`, {});
      const later = await token(one);
      assert.deepEqual([await read(before), await read(later), await read(later, other)], [1, 0, 0]);
    });

    test('places are random, and no two tokens have the same, whichever node they are from', async () => {
      const one = await listed();
      // what the other node gives is asked by the client's requests, sent there
      const there: typeof one = await tokenClient(
        { ...server, issuer: server.issuer, address: other.address },
        { token: { status_list: true } },
      );
      const places: Status[] = [];
      for (const each of [one, there]) {
        for (let i = 0; i < 12; i++) {
          places.push(...(await Promise.all(Array.from({ length: 25 }, async () => statusOf(await token(each))))));
        }
      }
      const names = places.map(({ idx, uri }) => `${uri} ${idx}`);
      assert.equal(new Set(names).size, names.length);
      const ascending = places.filter(({ idx }, i) => i > 0 && idx > (places[i - 1] as Status).idx).length;
      assert.ok(ascending > 200 && ascending < 400, `${ascending} of 600 are greater than the one before`);
      assert.notEqual(places[0]?.uri, places.at(-1)?.uri, 'each resource has lists of its own');
    });

    test('an answer is compressed for whoever takes it, open to browsers, and kept by shared caches for a second at most', async () => {
      const { uri } = statusOf(await token());
      const { headers, body } = await raw(uri, { 'accept-encoding': 'gzip', origin: 'https://verifier.example' });
      assert.equal(headers['content-encoding'], 'gzip');
      assert.equal(headers['access-control-allow-origin'], '*');
      assert.equal(headers['cache-control'], 'public, max-age=1');
      assert.match(String(headers.vary), /accept.*accept-encoding/);
      assert.match(gunzipSync(body).toString(), /^[\w-]+\.[\w-]+\.[\w-]+$/);
      const plain = await raw(uri, { 'accept-encoding': 'gzip;q=0, identity' });
      assert.equal(plain.headers['content-encoding'], undefined);
      const { exp, iat, ttl } = decodeJwt(plain.body.toString()) as { exp: number; iat: number; ttl: number };
      assert.deepEqual([ttl, exp - iat], [5, 35]);
      const preflight = await fetch(uri, { method: 'OPTIONS' });
      assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-origin')], [204, '*']);
    });

    const accepted: [string, string | undefined, number][] = [
      ['nothing said', undefined, 200],
      ['anything', '*/*', 200],
      ['CBOR or JWT', 'application/statuslist+cwt, application/statuslist+jwt;q=0.5', 200],
      ['CBOR alone', 'application/statuslist+cwt', 406],
      ['anything but this', '*/*, application/statuslist+jwt;q=0', 406],
      ['a web page', 'text/html', 406],
    ];
    for (const [sentence, accept, status] of accepted) {
      test(`what is accepted decides: ${sentence}`, async () => {
        const { uri } = statusOf(await token());
        const answer = await raw(uri, accept === undefined ? {} : { accept });
        assert.equal(answer.status, status);
        if (status === 200) assert.equal(answer.headers['content-type'], 'application/statuslist+jwt');
      });
    }

    test('what is no list is not found, and nothing is written to one', async () => {
      for (const id of ['x', 'AAAAAAAAAAAAAAAAAAAAAA', '%00', "'", 'A'.repeat(3000)]) {
        const { status } = await fetch(`${server.issuer}/status-lists/${id}`);
        assert.ok([404, 414].includes(status), `${id.slice(0, 30)}: ${status}`);
      }
      const { uri } = statusOf(await token());
      for (const method of ['POST', 'PUT', 'DELETE']) assert.equal((await fetch(uri, { method })).status, 405);
    });

    test('which lists there are is told to nobody, and a list is as long whoever has a token in it', async () => {
      const [jwt, alone] = [await token(), await token(await listed())];
      const published = await fetch(`${server.issuer}/.well-known/oauth-authorization-server`);
      assert.equal(((await published.json()) as Record<string, unknown>).status_list_aggregation_endpoint, undefined);
      assert.equal((await fetch(`${server.issuer}/status-lists`)).status, 404);
      const sizes: number[] = [];
      for (const one of [jwt, alone]) {
        const { uri } = statusOf(one);
        assert.match(uri.slice(uri.lastIndexOf('/') + 1), /^[\w-]{22}$/, 'nobody guesses 128 bits');
        const { status_list: list } = decodeJwt(await (await fetch(uri)).text()) as { status_list: { lst: string } };
        assert.deepEqual(Object.keys(list).sort(), ['bits', 'lst']);
        sizes.push(inflateSync(Buffer.from(list.lst, 'base64url')).length);
      }
      assert.deepEqual(sizes, [2048, 2048]);
    });

    test('a token is invalid once the key that signed it was revoked, and the list is signed by another', async () => {
      const one = await listed();
      const jwt = await token(one);
      assert.equal(await read(jwt, other), 0);
      const { kid } = decodeProtectedHeader(jwt) as { kid: string };
      await server.admin('POST', '/revocations', { kind: 'key', subject: kid, reason: 'a test' });
      assert.deepEqual([await read(jwt), await read(jwt, other)], [1, 1]);
      assert.notEqual(decodeProtectedHeader(await token(one)).kid, kid);
    });

    test('lists rotate, are served until their last token has expired, and are forgotten then', async () => {
      const one = await listed();
      const early = await token(one);
      server.clock.advance(14 * 60_000);
      const late = await token(one);
      assert.equal(statusOf(late).uri, statusOf(early).uri);
      server.clock.advance(2 * 60_000);
      const next = await token(one);
      assert.notEqual(statusOf(next).uri, statusOf(early).uri);
      await revoked(`/agents/${one.clientId}/suspend`);
      assert.deepEqual([await read(late), await read(next)], [1, 1]);
      server.clock.advance(16 * 60_000);
      assert.equal((await fetch(statusOf(early).uri)).status, 404);
      assert.equal((await fetch(statusOf(next).uri)).status, 200);
      // rows stay two hours longer, and until the clock has been believed for one
      for (let minutes = 0; minutes < 160; minutes++) {
        server.clock.advance(60_000);
        await tidy(server.deps);
      }
      const rows = await server.deps.db.all('select list from status_entries where list = ?', [
        statusOf(early).uri.split('/').at(-1) as string,
      ]);
      assert.equal(rows.length, 0);
    });
  });
}

interface Raw {
  status: number;
  headers: Record<string, unknown>;
  body: Buffer;
}

/** A request with these headers and no others: `fetch` adds its own, and unpacks. */
function raw(url: string, headers: Record<string, string>): Promise<Raw> {
  return new Promise((resolve, reject) => {
    get(url, { headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    }).on('error', reject);
  });
}
