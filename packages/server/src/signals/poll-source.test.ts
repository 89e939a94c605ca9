/** Sources that don't push are asked: what we say to them, what of their answers is taken, and what is refused. The other side is made of `jose`. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { testWeb } from '../testing/signal-receiver.ts';
import { tokenClient } from '../testing/token-client.ts';
import { until } from '../testing/until.ts';

const issuer = 'https://idp.example';
const audience = 'https://id.example/signals';
const caep = 'https://schemas.openid.net/secevent/caep/event-type/';

interface Question {
  authorization: string | undefined;
  maxEvents: number;
  returnImmediately: boolean;
  ack: string[];
  setErrs: Record<string, { err: string; description: string }>;
}

for (const database of databases) {
  describe(`sources that are asked, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let server: TestServer;
    let other: Server;
    let sign: (claims?: object, header?: object) => Promise<{ jti: string; set: string }>;
    let here: string;
    const sockets = new Set<Socket>();
    let asked: Question[];
    /** What is answered to each question; without one more, it hangs as long polls do. */
    let answers: ((response: ServerResponse) => void)[];
    let hanging: ServerResponse[];
    let heardMore: (() => void) | undefined;

    before(async () => {
      web = await testWeb();
      const keys = await generateKeyPair('ES256');
      const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
      other = createServer({ cert: web.cert, key: web.key }, async (request, response) => {
        if (request.url === '/jwks') return void json(response, { keys: [jwk] });
        const parts: Buffer[] = [];
        for await (const part of request) parts.push(part as Buffer);
        const { authorization } = request.headers;
        asked.push({ authorization, ...JSON.parse(Buffer.concat(parts).toString()) });
        const answer = answers.shift();
        if (answer) answer(response);
        else hanging.push(response);
        heardMore?.();
      });
      other.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.on('error', () => {});
      });
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
      here = `https://localhost:${(other.address() as AddressInfo).port}`;
      server = await startServer({ database, config: { outbound: { ca_file: web.caFile } } });
      sign = async (claims = {}, header = {}) => {
        const whole = {
          iss: issuer,
          aud: audience,
          iat: Math.floor(server.clock.now() / 1000),
          jti: randomUUID(),
          sub_id: { format: 'opaque', id: 'nobody' },
          events: { [`${caep}session-revoked`]: {} },
          ...claims,
        };
        const signed = new SignJWT(whole).setProtectedHeader({
          alg: 'ES256',
          kid: 'one',
          typ: 'secevent+jwt',
          ...header,
        });
        return { jti: whole.jti, set: await signed.sign(keys.privateKey) };
      };
    });
    beforeEach(() => {
      [asked, answers, hanging] = [[], [], []];
    });
    after(async () => {
      await server.close();
      for (const socket of sockets) socket.destroy();
      other.close();
      web.remove();
    });

    const json = (response: ServerResponse, body: unknown, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const made = (url = `${here}/poll`, more: object = {}) =>
      server.admin<{ id: string }>('POST', '/signal-sources', {
        name: `s-${randomUUID().slice(0, 8)}`,
        issuer,
        jwks_uri: `${here}/jwks`,
        audience: [audience],
        poll: { url, authorization: 'Bearer of-the-poller' },
        ...more,
      });
    const remove = async ({ id }: { id: string }) => {
      await server.admin('DELETE', `/signal-sources/${id}`);
      for (const response of hanging.splice(0)) json(response, { sets: {} });
    };
    const shown = ({ id }: { id: string }) =>
      server.admin<{ fault?: string; heard_at?: string }>('GET', `/signal-sources/${id}`);
    const questions = async (count: number) => {
      while (asked.length < count) {
        await new Promise<void>((resolve) => {
          heardMore = resolve;
        });
      }
    };
    const faultOf = async (source: { id: string }) => {
      const { fault } = await until(
        () => shown(source),
        (seen) => seen.fault !== undefined,
      );
      return fault as string;
    };
    const heard = async ({ id }: { id: string }) => {
      const { items } = await server.admin<{ items: { decided_on: { set: string } }[] }>(
        'GET',
        `/events?type=signal.received&target=${id}&limit=100`,
      );
      return items.map(({ decided_on }) => decided_on.set).reverse();
    };

    test('what it has is taken, done and said; then it is asked for more, and may let us wait', async () => {
      const client = await tokenClient(server);
      const { subject } = await server.admin<{ subject: string }>('GET', `/agents/${client.clientId}`);
      const sub_id = { format: 'iss_sub', iss: server.issuer, sub: subject };
      const events = { [`${caep}risk-level-change`]: { current_level: 'HIGH', principal: 'USER' } };
      const [one, two] = [await sign({ sub_id, events }), await sign()];
      answers.push((response) => json(response, { sets: { [one.jti]: one.set }, moreAvailable: true }));
      answers.push((response) => json(response, { sets: { [two.jti]: two.set } }));
      const source = await made();
      await questions(3);
      assert.deepEqual(asked, [
        { authorization: 'Bearer of-the-poller', ack: [], setErrs: {}, maxEvents: 50, returnImmediately: false },
        { authorization: 'Bearer of-the-poller', ack: [one.jti], setErrs: {}, maxEvents: 50, returnImmediately: false },
        { authorization: 'Bearer of-the-poller', ack: [two.jti], setErrs: {}, maxEvents: 50, returnImmediately: false },
      ]);
      assert.deepEqual(await heard(source), [one.jti, two.jti]);
      const { status } = await server.admin<{ status: string }>('GET', `/agents/${client.clientId}`);
      assert.equal(status, 'suspended');
      const { heard_at, fault } = await shown(source);
      assert.ok(heard_at !== undefined && fault === undefined);
      await remove(source);
    });

    test('what comes again is said again, and does nothing more', async () => {
      const one = await sign();
      for (let n = 0; n < 2; n += 1) answers.push((response) => json(response, { sets: { [one.jti]: one.set } }));
      const source = await made();
      await questions(3);
      assert.deepEqual(asked[2]?.ack, [one.jti]);
      assert.deepEqual(await heard(source), [one.jti]);
      await remove(source);
    });

    test('what can not be taken is said, beside what can', async () => {
      const good = await sign();
      const bad: [string, { jti: string; set: string }][] = [
        ['invalid_issuer', await sign({ iss: 'https://other.example' })],
        ['invalid_audience', await sign({ aud: 'https://other.example' })],
        ['invalid_key', await sign({}, { kid: 'nobody' })],
        ['invalid_request', await sign({}, { typ: 'JWT' })],
        ['invalid_request', await sign({ sub_id: undefined })],
        ['invalid_request', { jti: randomUUID(), set: 'none' }],
        ['invalid_request', { jti: randomUUID(), set: good.set }],
      ];
      const sets = Object.fromEntries([...bad.map(([, one]) => one), good].map(({ jti, set }) => [jti, set]));
      answers.push((response) => json(response, { sets }));
      const source = await made();
      await questions(2);
      assert.deepEqual(asked[1]?.ack, [good.jti]);
      const said = Object.entries(asked[1]?.setErrs ?? {}).map(([jti, { err }]) => [jti, err]);
      assert.deepEqual(
        said,
        bad.map(([err, { jti }]) => [jti, err]),
      );
      assert.deepEqual(await heard(source), [good.jti]);
      await remove(source);
    });

    test('one that answers at once with nothing is not asked all the time', async () => {
      answers.push((response) => json(response, { sets: {} }));
      const source = await made();
      await questions(1);
      for (let round = 0; round < 50; round += 1) await shown(source);
      assert.equal(asked.length, 1);
      server.clock.advance(5_000);
      await questions(2);
      await remove(source);
    });

    for (const [what, answer, expected] of [
      ['a status that is none of success', (r: ServerResponse) => json(r, {}, 403), /answered with 403/],
      ['a redirect', (r: ServerResponse) => r.writeHead(302, { location: '/elsewhere' }).end(), /redirect/],
      ['no JSON', (r: ServerResponse) => r.writeHead(200, { 'content-type': 'application/json' }).end('{'), /RFC 8936/],
      ['a list', (r: ServerResponse) => json(r, { sets: ['x'] }), /RFC 8936/],
      ['a set that is no text', (r: ServerResponse) => json(r, { sets: { x: 1 } }), /RFC 8936/],
      ['an id without end', (r: ServerResponse) => json(r, { sets: { ['x'.repeat(257)]: 'y' } }), /RFC 8936/],
      ['more than anybody needs', (r: ServerResponse) => json(r, { sets: { x: 'y'.repeat(600_000) } }), /localhost/],
      ['nothing, and the connection is cut', (r: ServerResponse) => r.destroy(), /localhost/],
    ] as const) {
      test(`${what} is a fault that administrators see, and it is asked again after a pause`, async () => {
        answers.push(answer);
        const source = await made();
        assert.match(await faultOf(source), expected);
        assert.equal(asked.length, 1);
        const one = await sign();
        answers.push((response) => json(response, { sets: { [one.jti]: one.set } }));
        server.clock.advance(2_000);
        await questions(3);
        assert.equal((await shown(source)).fault, undefined);
        assert.deepEqual(await heard(source), [one.jti]);
        await remove(source);
      });
    }

    test('pauses grow with what fails', async () => {
      for (let n = 0; n < 3; n += 1) answers.push((response) => json(response, {}, 500));
      const source = await made();
      await faultOf(source);
      for (const [count, pause] of [
        [1, 2_000],
        [2, 4_000],
      ] as const) {
        for (let round = 0; round < 30; round += 1) await shown(source);
        server.clock.advance(pause - 1);
        for (let round = 0; round < 30; round += 1) await shown(source);
        assert.equal(asked.length, count, 'not before its pause is over');
        server.clock.advance(1);
        await questions(count + 1);
      }
      await remove(source);
    });

    test('an address of ours that others must not make us reach is not asked', async () => {
      const wanted = [`http://localhost:1/poll`, 'ftp://localhost/poll', 'https://user:secret@localhost/poll', 'poll'];
      for (const url of wanted) await assert.rejects(made(url), /422|400/);
      const source = await made('https://10.0.0.1/poll');
      assert.match(await faultOf(source), /10\.0\.0\.1/);
      await remove(source);
    });

    test('a removed source is asked no more, and what it answers then is not taken', async () => {
      const source = await made();
      await questions(1);
      const late = await sign();
      await server.admin('DELETE', `/signal-sources/${source.id}`);
      for (const response of hanging.splice(0)) json(response, { sets: { [late.jti]: late.set } });
      for (let round = 0; round < 50; round += 1) await server.admin('GET', '/signal-sources');
      server.clock.advance(400_000);
      for (let round = 0; round < 50; round += 1) await server.admin('GET', '/signal-sources');
      assert.equal(asked.length, 1);
      assert.deepEqual(await heard(source), []);
    });

    test('a question that waits does not hold up the end of the server', async () => {
      const ending = await startServer({ database, config: { outbound: { ca_file: web.caFile } } });
      await ending.admin('POST', '/signal-sources', {
        name: 'slow',
        issuer,
        jwks_uri: `${here}/jwks`,
        audience: [audience],
        poll: { url: `${here}/poll`, authorization: 'Bearer x' },
      });
      await questions(1);
      const began = performance.now();
      await ending.close();
      assert.ok(performance.now() - began < 20_000);
    });
  });
}
