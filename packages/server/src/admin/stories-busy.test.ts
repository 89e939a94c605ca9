/** The story of somebody who is busy: whole, readable, and of bounded work, however much they do. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { appendAllPrepared, type PreparedEvent, prepareEvent, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import { newId } from '../lib/ids.ts';
import { caughtUp } from '../log/indexer.ts';
import { storyOf, tellStory } from '../log/story.ts';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { commandLine } from '../testing/command-line.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { countingWork } from '../testing/work.ts';

interface Item {
  at: string;
  until?: string;
  says: string;
  count?: number;
  refused?: number;
  at_least?: true;
  event?: { type: string; jti?: string; outcome: string };
}
type Story = { items: Item[]; more: boolean };

for (const database of databases) {
  describe(`stories of busy agents (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    const story = (of: string, query = ''): Promise<Story> => operator.ok('GET', `/trace?of=${of}${query}`);

    async function token(client: TokenClient): Promise<string> {
      const { status, body } = await client.send();
      assert.equal(status, 200);
      return (parseCompact(String(body.access_token)).payload as { jti: string }).jti;
    }

    /** Uses of a token as a guard reports them, ten a second: every hundredth is refused, every fourth writes. */
    async function uses(client: TokenClient, jti: string, count: number): Promise<void> {
      const { deps, clock } = server;
      const sealing = await sealingFor(deps, 1, client.owner);
      const rows: PreparedEvent[] = [];
      for (let n = 0; n < count; n += 1) {
        clock.advance(100);
        const isRefused = n % 100 === 99;
        const event: AuditEvent = {
          type: 'access.used',
          outcome: isRefused ? 'refused' : 'allowed',
          org: client.organization,
          agent: client.clientId,
          resource: client.identifier,
          jti,
          ...(isRefused && { reason: 'no such operation' }),
          decided_on: {
            guard: `grd_${'0'.repeat(26)}`,
            mode: 'feed',
            ...(!isRefused && { operation: n % 4 === 0 ? 'write' : 'read' }),
            report: randomBytes(16).toString('base64url'),
            resource_id: client.resource,
            used_at: clock.now(),
          },
          personal: { owner: client.owner, address: '192.0.2.1' },
        };
        rows.push(await prepareEvent(deps, 1, sealing, event, newId(deps, 'event')));
      }
      for (let n = 0; n < rows.length; n += 500) {
        await deps.db.settle((tx) => appendAllPrepared(tx, rows.slice(n, n + 500)));
      }
    }
    const usesIn = ({ items }: Story) => items.filter(({ says }) => / used it /.test(says));
    const sumOf = (items: Item[], of: 'count' | 'refused') => items.reduce((sum, item) => sum + (item[of] ?? 0), 0);

    test('uses of one token are one step, with how many were refused, as JSON, text and spans', async () => {
      const client = await tokenClient(server);
      const jti = await token(client);
      await uses(client, jti, 300);
      const told = await story(jti);
      assert.equal(told.more, false);
      assert.deepEqual(
        told.items.map(({ event }) => event?.type),
        ['agent.created', 'credential.created', 'role.granted', 'token.issued', 'access.used'],
      );
      const [use] = usesIn(told) as [Item];
      assert.deepEqual([use.count, use.refused, use.at_least], [300, 3, undefined]);
      assert.equal(Date.parse(use.until as string) - Date.parse(use.at), 299 * 100);
      const name = /^(agent-\S+) used it/.exec(use.says)?.[1];
      const at = (use.until as string).slice(11, 19);
      assert.equal(
        use.says,
        `${name} used it 300 times at ${client.identifier}, until ${at}: read (222), write (75); 3 refused: no such operation`,
      );

      const every = await story(jti, '&every=true');
      assert.equal(every.items.filter(({ event }) => event?.type === 'access.used').length, 300);

      const { resourceSpans } = await operator.ok('GET', `/trace/spans?of=${jti}`);
      const spans = resourceSpans[0].scopeSpans[0].spans;
      assert.equal(spans.length, 3);
      const [, issued, used] = spans;
      assert.equal(used.parentSpanId, issued.spanId);
      assert.equal(BigInt(used.endTimeUnixNano) - BigInt(used.startTimeUnixNano), 29_900_000_000n);
      const attribute = (key: string) =>
        used.attributes.find((one: { key: string }) => one.key === key)?.value.intValue;
      assert.deepEqual([attribute('bailiwick.count'), attribute('bailiwick.refused')], ['300', '3']);

      const cli = commandLine(server);
      const { out } = await cli('trace', jti);
      assert.match(out, /\nWhat is alike is told together: --every tells each\.\n/);
      assert.match(
        out,
        / • agent-\S+ used it 300 times at https:\S+, until [\d:]{8}: read \(222\), write \(75\); 3 refused/,
      );
      assert.equal((await cli('trace', jti, '--every')).out.match(/ used it: | was refused: /g)?.length, 300);
      cli.close();
    });

    test('nothing is told together across a turn in the life; tokens are, where there are too many to read', async () => {
      const client = await tokenClient(server, { agent: { limits: { tokens_per_minute: 1_000 } } });
      for (let n = 0; n < 30; n += 1) await uses(client, await token(client), 2);
      await operator.ok('POST', `/agents/${client.clientId}/suspend`, { reason: 'odd' });
      await operator.ok('POST', `/agents/${client.clientId}/resume`);
      server.clock.advance(61_000);
      for (let n = 0; n < 60; n += 1) await uses(client, await token(client), 2);
      const few = await story(client.clientId, `&until=${new Date(server.clock.now() - 61_000).toISOString()}`);
      assert.equal(usesIn(few).length, 30, 'of each token');
      const told = (await story(client.clientId)).items.filter(
        ({ event }) => event?.type !== 'revocation.acknowledged',
      );
      assert.deepEqual(
        told.slice(-6).map(({ event, count }) => [event?.type, count]),
        [
          ['token.issued', 30],
          ['access.used', 60],
          ['agent.suspended', undefined],
          ['agent.resumed', undefined],
          ['token.issued', 60],
          ['access.used', 120],
        ],
      );
      assert.match(told.at(-2)?.says ?? '', /^agent-\S+ got a token 60 times for https:\S+, until [\d:]{8}$/);
    });

    test('of thousands of uses the life is whole, all are counted, and more of them are no more work', async () => {
      const client = await tokenClient(server);
      const jti = await token(client);
      await uses(client, jti, 1_500);
      await operator.ok('PATCH', `/agents/${client.clientId}`, { purpose: 'the turn in the middle' });
      await uses(client, jti, 1_500);
      await operator.ok('POST', `/agents/${client.clientId}/suspend`, { reason: 'odd' });

      const workOf = async (of: string, reach: object = {}) => {
        const { deps, work } = countingWork(server.deps);
        await caughtUp(server.deps);
        const { steps } = await tellStory(deps, { org: client.organization, ...reach }, storyOf(of));
        assert.ok(steps.length > 0);
        return work();
      };
      const told = await story(client.clientId);
      const types = told.items.map(({ event }) => event?.type);
      for (const type of [
        'agent.created',
        'credential.created',
        'role.granted',
        'token.issued',
        'agent.updated',
        'agent.suspended',
      ]) {
        assert.ok(types.includes(type), `${type} among ${types.join(' ')}`);
      }
      assert.equal(told.more, false);
      const used = usesIn(told);
      assert.deepEqual(
        [sumOf(used, 'count'), sumOf(used, 'refused')],
        [3_000, 30],
        used.map(({ says }) => says).join('\n'),
      );
      const middle = told.items.findIndex(({ event }) => event?.type === 'agent.updated');
      for (const [part, what] of [
        [told.items.slice(0, middle), 'before'],
        [told.items.slice(middle), 'after'],
      ] as const) {
        assert.equal(sumOf(usesIn({ items: part, more: false }), 'count'), 1_500, `${what} the turn`);
      }
      const counted = told.items.filter(({ event }) => event === undefined);
      assert.equal(counted.length, 2);
      assert.match(counted[0]?.says ?? '', /^agent-\S+ used it 1,1\d\d times, until [\d:]{8}; 1\d refused$/);

      // by its token: what lies between is counted there, too
      const ofToken = await story(jti);
      assert.ok(ofToken.items.some(({ says }) => /^2,2\d\d more events, until .*; 2\d refused$/.test(says)));

      const owner = await operator.ok('GET', `/agents/${client.clientId}`);
      const reach = { ownedBy: owner.owner };
      const before = [await workOf(client.clientId), await workOf(jti), await workOf(client.clientId, reach)];
      assert.ok(
        before.every(([statements, rows]) => statements < 400 && rows < 12_000),
        JSON.stringify(before),
      );
      await uses(client, jti, 3_000);
      const later = [await workOf(client.clientId), await workOf(jti), await workOf(client.clientId, reach)];
      for (const [index, [statements, rows]] of later.entries()) {
        const [statementsBefore, rowsBefore] = before[index] as [number, number];
        assert.ok(statements <= statementsBefore + 40, `${statements} statements, ${statementsBefore} before`);
        assert.ok(rows <= rowsBefore + 3_000, `${rows} rows, ${rowsBefore} before`);
      }
    });

    test('whoever sees the events of their owner alone is told the same, without what is only counted', async () => {
      const owner = await administrator(server, operator, { scopes: ['events:own'], name: 'helper' });
      const { owner: team } = await operator.ok('GET', `/agents/${owner.agent}`);
      const client = await tokenClient(server);
      await operator.ok('PATCH', `/agents/${client.clientId}`, { owner: team });
      const jti = await token(client);
      await uses({ ...client, owner: team }, jti, 1_200);
      await operator.ok('POST', `/agents/${client.clientId}/suspend`, { reason: 'odd' });
      const told: Story = await owner.ok('GET', `/trace?of=${client.clientId}`);
      assert.equal(told.more, true);
      assert.ok(told.items.every(({ event }) => event !== undefined));
      assert.equal(
        told.items.at(-1)?.event?.type === 'revocation.acknowledged' ||
          told.items.some(({ event }) => event?.type === 'agent.suspended'),
        true,
      );
      assert.ok(sumOf(usesIn(told), 'count') >= 700);
    });
  });
}
