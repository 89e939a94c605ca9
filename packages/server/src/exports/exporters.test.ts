import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { makeAuthority, makeCertificate } from '../testing/certificates.ts';
import {
  type Authority,
  collectorAuthority,
  type HttpCollector,
  httpCollector,
  syslogCollector,
} from '../testing/collectors.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { until } from '../testing/until.ts';
import { webhookSignature } from './http-targets.ts';
import type { Leaf } from './record.ts';

for (const database of databases) {
  describe(`exporters, on ${database}`, () => {
    let authority: Authority;
    let server: TestServer;
    let operator: AdminClient;
    let collector: HttpCollector;
    let directory: string;
    let n = 0;

    before(async () => {
      authority = await collectorAuthority();
      collector = await httpCollector(authority);
      directory = mkdtempSync(path.join(tmpdir(), 'bailiwick-exports-'));
      const config = { exports: { directory }, outbound: { ca_file: authority.file, timeout_seconds: 2 } };
      server = await startServer({ database, config });
      operator = adminClient(server, server.operator);
    });
    after(async () => {
      await server.close();
      await collector.close();
      authority.close();
      rmSync(directory, { recursive: true });
    });

    const create = async (target: object, members: object = {}, client = operator) =>
      client.ok('POST', '/exporters', { name: `x${++n}`, target, ...members });
    const remove = (id: string) => operator.ok('POST', `/exporters/${id}/remove`, {});
    /** Makes some events: their targets' ids. */
    const happen = async (count = 1, at = '') => {
      const made: string[] = [];
      for (let i = 0; i < count; i++)
        made.push((await operator.ok('POST', `/teams${at}`, { name: `team-${database}-${++n}` })).id);
      return made;
    };
    /** Lets the server find and serve its exporters. */
    const turn = async (ms = 500) => {
      for (let passed = 0; passed < ms; passed += 500) {
        server.clock.advance(500);
        // an exporter is started by a notice, which on PostgreSQL takes its time
        await new Promise((done) => setTimeout(done, 5));
        await server.deps.consumers.settled();
      }
    };
    const comesTo = (condition: () => boolean | Promise<boolean>) => until(condition, Boolean, () => turn());
    const filesOf = (id: string) =>
      readdirSync(path.join(directory, id))
        .toSorted()
        .flatMap((name) =>
          readFileSync(path.join(directory, id, name), 'utf8')
            .trimEnd()
            .split('\n'),
        );
    const statusOf = async (id: string) => (await operator.ok('GET', `/exporters/${id}`)).status;

    test('JSON Lines: the leaf’s bytes, in order, each once, as far as the log goes', async () => {
      const made = await create({ kind: 'file' }, { from: 'start' });
      assert.equal(made.status.state, 'behind');
      const targets = await happen(3);
      await comesTo(async () => (await statusOf(made.id)).state === 'current');
      const lines = filesOf(made.id).map((line) => ({ line, leaf: JSON.parse(line) as Leaf }));
      const rows = await server.deps.db.all<{ leaf: string }>('select leaf from events order by arrival');
      assert.deepEqual(
        lines.map(({ line }) => line),
        rows.slice(0, lines.length).map(({ leaf }) => leaf),
      );
      assert.deepEqual(
        lines.slice(-3).map(({ leaf }) => leaf.target),
        targets,
      );
      assert.equal(new Set(lines.map(({ leaf }) => leaf.id)).size, lines.length);
      await remove(made.id);
      await turn();
      const before = filesOf(made.id).length;
      await happen();
      await turn(2000);
      assert.equal(filesOf(made.id).length, before);
      assert.equal((await operator.call('GET', `/exporters/${made.id}`)).status, 404);
    });

    test('what is personal stays, unless it was asked for', async () => {
      const person = await operator.ok('POST', '/people', { name: 'Ada Lovelace', email: 'ada@example.com' });
      const plain = await create({ kind: 'file' });
      const open = await create({ kind: 'file' }, { personal: true });
      const cef = await create({ kind: 'file', format: 'cef' }, { personal: true });
      await operator.ok('POST', '/agents', {
        name: `ada-${database}`,
        kind: 'workload',
        owner: person.id,
        purpose: 'writes notes',
      });
      await comesTo(async () =>
        (await Promise.all([plain, open, cef].map(({ id }) => statusOf(id)))).every((one) => one.state === 'current'),
      );
      const [without, within, line] = [plain, open, cef].map(({ id }) => filesOf(id).join('\n')) as [
        string,
        string,
        string,
      ];
      assert.ok(!without.includes('writes notes') && !without.includes('127.0.0.1'), without);
      assert.ok(without.includes('commitments'));
      assert.ok(within.includes('writes notes') && /"address":"(127\.0\.0\.1|::1)"/.test(within), within);
      assert.match(line, / src=(127\.0\.0\.1|::1) /);
      for (const { id } of [plain, open, cef]) await remove(id);
    });

    test('webhook: signed batches; the same message again after a failure', async () => {
      const made = await create({ kind: 'webhook', url: `${collector.url}/hook` }, { types: ['team.created'] });
      assert.match(made.secret, /^whsec_/);
      assert.ok(!JSON.stringify(await operator.ok('GET', `/exporters/${made.id}`)).includes(made.secret));
      const failed: string[] = [];
      collector.reply = ({ headers }) => {
        failed.push(String(headers['webhook-id']));
        return failed.length < 3 ? { status: failed.length === 1 ? 500 : 429 } : { status: 204, body: '' };
      };
      const targets = await happen(2);
      await comesTo(() => failed.length === 1);
      const failing = await statusOf(made.id);
      assert.deepEqual([failing.state, failing.last_error, failing.failures], ['failing', 'it answered with 500', 1]);
      await comesTo(() => collector.received.length === 1);
      assert.equal(new Set(failed).size, 1);
      const [{ headers, body }] = collector.received.splice(0) as [(typeof collector.received)[0]];
      const id = String(headers['webhook-id']);
      const timestamp = String(headers['webhook-timestamp']);
      assert.equal(headers['webhook-signature'], webhookSignature(made.secret, id, timestamp, body));
      const { type, data } = JSON.parse(body) as { type: string; data: { events: Leaf[] } };
      assert.equal(type, 'log.events');
      assert.deepEqual(
        data.events.map(({ target }) => target),
        targets,
      );
      await turn();
      const status = await statusOf(made.id);
      assert.deepEqual(
        [status.state, status.failures, status.delivered, status.last_error],
        ['current', 0, 2, undefined],
      );
      await remove(made.id);
    });

    test('what a webhook refuses for good is a dead letter, and can be sent again', async () => {
      const made = await create(
        { kind: 'webhook', url: `${collector.url}/picky`, format: 'ocsf' },
        { types: ['team.created'] },
      );
      const targets = await happen(4);
      const got: string[] = [];
      let mending = false;
      collector.reply = ({ body }) => {
        const { events } = (
          JSON.parse(body) as { data: { events: { metadata: object; unmapped: { target: string } }[] } }
        ).data;
        if (!mending && events.some(({ unmapped }) => unmapped.target === targets[1])) return { status: 422 };
        got.push(...events.map(({ unmapped }) => unmapped.target));
        return { status: 200 };
      };
      await comesTo(() => got.length === 3);
      assert.deepEqual(got, [targets[0], targets[2], targets[3]]);
      assert.equal((await statusOf(made.id)).dead_letters, 1);
      const { items } = await operator.ok('GET', `/exporters/${made.id}/dead-letters`);
      assert.equal(items[0].reason, 'it answered with 422');
      await operator.ok('POST', `/exporters/${made.id}/dead-letters/retry`, {});
      await turn(20_000);
      assert.equal((await statusOf(made.id)).dead_letters, 1, 'it was refused again');
      mending = true;
      await operator.ok('POST', `/exporters/${made.id}/dead-letters/retry`, {});
      await comesTo(async () => (await statusOf(made.id)).dead_letters === 0);
      assert.deepEqual(got.slice(3), [targets[1]]);
      await remove(made.id);
      collector.received.length = 0;
    });

    test('OpenTelemetry: what a collector rejects is tried one by one; its headers are secret', async () => {
      const headers = { authorization: 'Bearer very-secret' };
      const made = await create(
        { kind: 'otlp', url: `${collector.url}/v1/logs`, headers },
        { types: ['team.created'] },
      );
      const rejected: number[] = [];
      collector.reply = ({ body }) => {
        const records = JSON.parse(body).resourceLogs[0].scopeLogs[0].logRecords as unknown[];
        if (records.length > 1) {
          rejected.push(records.length);
          return { status: 200, body: '{"partialSuccess":{"rejectedLogRecords":"1"}}' };
        }
        return { status: 200 };
      };
      await happen(2);
      await comesTo(async () => (await statusOf(made.id)).delivered === 2);
      assert.ok(rejected.length > 0);
      const seen = collector.received
        .splice(0)
        .filter(({ body }) => JSON.parse(body).resourceLogs[0].scopeLogs[0].logRecords.length === 1);
      assert.equal(seen.length, 2);
      assert.equal(seen[0]?.headers.authorization, 'Bearer very-secret');
      assert.ok(!JSON.stringify(await operator.ok('GET', '/exporters')).includes('very-secret'));
      await remove(made.id);
    });

    test('syslog: over TLS, with a client’s certificate; what broke off comes again', async () => {
      const clients = await makeAuthority('CN=Clients');
      const client = await makeCertificate({ subject: 'CN=bailiwick', issuer: clients });
      const collecting = await syslogCollector(authority, clients);
      const target = { kind: 'syslog', host: 'localhost', port: collecting.port, ca: authority.ca.pem };
      const made = await create({ ...target, certificate: client.pem, key: client.key }, { types: ['team.created'] });
      const uncertified = await create(target, { types: ['team.created'] });
      collecting.cutAfter = 600;
      const targets = await happen(3);
      await comesTo(async () => (await statusOf(made.id)).state === 'failing');
      assert.match((await statusOf(made.id)).last_error, /localhost:\d+ (broke off|closed the connection)/);
      assert.equal(collecting.messages.length, 0);
      collecting.cutAfter = undefined;
      await comesTo(async () => (await statusOf(made.id)).state === 'current');
      assert.deepEqual(
        collecting.messages.map((message) => (JSON.parse(message.split('\uFEFF')[1] as string) as Leaf).target),
        targets,
      );
      assert.ok(collecting.clients.every((name) => name === 'bailiwick'));
      assert.equal((await statusOf(uncertified.id)).state, 'failing', 'it had no certificate to show');
      assert.ok(!JSON.stringify(await operator.ok('GET', `/exporters/${made.id}`)).includes('PRIVATE KEY'));
      for (const { id } of [made, uncertified]) await remove(id);
      await collecting.close();
    });

    test('a receiver that nobody vouches for gets nothing', async () => {
      const strangers = await collectorAuthority();
      const collecting = await syslogCollector(strangers);
      const stranger = await httpCollector(strangers);
      const hook = await create({ kind: 'webhook', url: `${stranger.url}/` });
      const log = await create({ kind: 'syslog', host: 'localhost', port: collecting.port });
      const mismatch = await create({
        kind: 'syslog',
        host: 'ip6-localhost',
        port: collecting.port,
        ca: strangers.ca.pem,
      });
      await happen();
      await comesTo(async () =>
        (await Promise.all([hook, log, mismatch].map(({ id }) => statusOf(id)))).every(
          ({ state }) => state === 'failing',
        ),
      );
      assert.match((await statusOf(log.id)).last_error, /is not to be trusted/);
      assert.match((await statusOf(hook.id)).last_error, /is not to be trusted/);
      assert.deepEqual([stranger.received, collecting.messages], [[], []]);
      for (const { id } of [hook, log, mismatch]) await remove(id);
      await collecting.close();
      await stranger.close();
      strangers.close();
    });

    test('one that hangs holds up nobody else; one that was down for long gets all of it', async () => {
      const slow = await httpCollector(authority);
      slow.reply = () => 'hang';
      const hanging = await create({ kind: 'webhook', url: slow.url }, { types: ['team.created'] });
      const quick = await create({ kind: 'file' }, { types: ['team.created'] });
      const targets = await happen(3);
      // not settled: the one that hangs would be waited for
      await until(
        () => statusOf(quick.id),
        ({ delivered }) => delivered >= 3,
        () => server.clock.advance(500),
      );
      assert.equal(filesOf(quick.id).length, 3);
      await comesTo(async () => (await statusOf(hanging.id)).state === 'failing');
      await slow.close();
      await turn(60_000);
      targets.push(...(await happen(2)));
      const back = await httpCollector(authority, Number(new URL(slow.url).port));
      await comesTo(async () => (await statusOf(hanging.id)).state === 'current');
      const events = back.received.flatMap(
        ({ body }) => (JSON.parse(body) as { data: { events: Leaf[] } }).data.events,
      );
      assert.deepEqual(
        events.map(({ target }) => target),
        targets,
      );
      for (const { id } of [hanging, quick]) await remove(id);
      await back.close();
    });

    test('test delivers the newest event at once, or says what is wrong', async () => {
      collector.reply = () => ({ status: 200 });
      const made = await create({ kind: 'webhook', url: `${collector.url}/test` }, { types: ['team.created'] });
      await happen();
      const answer = await operator.ok('POST', `/exporters/${made.id}/test`, {});
      assert.match(answer.delivered, /^evt_/);
      collector.reply = () => ({ status: 404 });
      assert.equal((await operator.ok('POST', `/exporters/${made.id}/test`, {})).fault, 'it answered with 404');
      await remove(made.id);
      collector.received.length = 0;
    });

    test('organizations have their own, and see nothing of others’', async () => {
      const other = `other-${database}`;
      await operator.ok('POST', '/organizations', { name: other });
      const scopes = ['exports:read', 'exports:write', 'events:read', 'teams:write', 'roles:write'];
      const theirs = await administrator(server, operator, { scopes, organization: other });
      const mine = await create({ kind: 'file' }, { types: ['team.created'] });
      const all = await create({ kind: 'file' }, { types: ['team.created'], all_organizations: true });
      const own = await create({ kind: 'file' }, { types: ['team.created'] }, theirs);
      const [here] = await happen();
      const [there] = await happen(1, `?organization=${other}`);
      await comesTo(async () =>
        (await Promise.all([mine, all, own].map(({ id }) => statusOf(id)))).every(({ state }) => state === 'current'),
      );
      const targets = (id: string) => filesOf(id).map((line) => (JSON.parse(line) as Leaf).target);
      assert.deepEqual(targets(mine.id), [here]);
      assert.deepEqual(targets(own.id), [there]);
      assert.deepEqual(targets(all.id), [here, there]);
      const { items } = await theirs.ok('GET', '/exporters');
      assert.deepEqual(
        items.map(({ id }: { id: string }) => id),
        [own.id],
      );
      for (const { id } of [mine, all]) {
        for (const [method, where, body] of [
          ['GET', ''],
          ['PATCH', '', { personal: true }],
          ['POST', '/remove', {}],
          ['POST', '/test', {}],
          ['GET', '/dead-letters'],
          ['POST', '/dead-letters/retry', {}],
        ] as const) {
          assert.equal((await theirs.call(method, `/exporters/${id}${where}`, body)).status, 404, `${method} ${where}`);
        }
      }
      const wide = await theirs.call('POST', '/exporters', {
        name: 'wide',
        target: { kind: 'file' },
        all_organizations: true,
      });
      assert.equal(wide.status, 403);
      const blind = await administrator(server, operator, { scopes: ['exports:write'], organization: other });
      assert.equal((await blind.call('POST', '/exporters', { name: 'blind', target: { kind: 'file' } })).status, 403);
      const reader = await administrator(server, operator, {
        scopes: ['exports:read', 'events:read'],
        organization: other,
      });
      assert.equal((await reader.call('POST', '/exporters', { name: 'r', target: { kind: 'file' } })).status, 403);
      for (const { id } of [mine, all, own]) await remove(id);
    });

    test('is changed without losing its place; each change is in the log, and no secret', async () => {
      collector.reply = () => ({ status: 200 });
      const secret = `whsec_${Buffer.alloc(32, 5).toString('base64')}`;
      const made = await create({ kind: 'webhook', url: `${collector.url}/a`, secret }, { types: ['team.created'] });
      assert.equal(made.secret, undefined, 'it was given, so it is not shown');
      const changed = await operator.ok('PATCH', `/exporters/${made.id}`, {
        target: { kind: 'webhook', url: `${collector.url}/b` },
      });
      assert.equal(changed.target.url, `${collector.url}/b`);
      const elsewhere = { kind: 'webhook', url: 'https://elsewhere.example.com/a' };
      const refused = await operator.call('PATCH', `/exporters/${made.id}`, { target: elsewhere });
      assert.equal(refused.status, 422, 'what is secret is not for whoever comes next');
      assert.match(refused.text, /"field":"target"/);
      await turn();
      await happen();
      await comesTo(() => collector.received.length === 1);
      const [{ path: where, headers, body }] = collector.received.splice(0) as [(typeof collector.received)[0]];
      assert.equal(where, '/b');
      const expected = webhookSignature(
        secret,
        String(headers['webhook-id']),
        String(headers['webhook-timestamp']),
        body,
      );
      assert.equal(headers['webhook-signature'], expected);
      await remove(made.id);
      const { items } = await operator.ok('GET', `/events?type=export.changed&target=${made.id}`);
      assert.deepEqual(
        items.map(({ decided_on }: { decided_on: { changed: { action: string } } }) => decided_on.changed.action),
        ['removed', 'updated', 'created'],
      );
      assert.ok(!JSON.stringify(items).includes(secret));
    });
  });
}
