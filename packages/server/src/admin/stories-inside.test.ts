/** Stories of what went on inside of the trust domain: who asked for transaction tokens, who went on, where they were used, and what ended them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { commandLine } from '../testing/command-line.ts';
import { type ExchangeScene, exchangeScene } from '../testing/exchange.ts';
import { feedGuard, feedSdk } from '../testing/feed-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import type { TokenClient } from '../testing/token-client.ts';
import {
  type Begun,
  begun,
  replacing,
  type TransactionScene,
  transactionOf,
  transactionScene,
} from '../testing/transactions.ts';

interface Item {
  at: string;
  says: string;
  count?: number;
  event: { type: string; agent?: string; jti?: string };
}
type Story = { items: Item[]; more: boolean };
interface Span {
  name: string;
  spanId: string;
  parentSpanId?: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: { stringValue?: string; arrayValue?: unknown } }[];
}

for (const database of databases) {
  describe(`stories of transactions, on ${database}`, () => {
    let server: TestServer;
    let scene: ExchangeScene;
    let of: TransactionScene;
    let names: { caller: string; gateway: string; clerk: string };
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await exchangeScene(server);
      of = await transactionScene(server, scene);
      await server.admin('PATCH', `/resources/${of.ledger.id}`, { served_by: [of.clerk.clientId] });
      const nameOf = async ({ clientId }: TokenClient) =>
        (await server.admin<{ name: string }>('GET', `/agents/${clientId}`)).name;
      names = { caller: await nameOf(of.caller), gateway: await nameOf(of.gateway), clerk: await nameOf(of.clerk) };
    });
    after(() => server.close());

    const story = (of: string, query = '') => server.admin<Story>('GET', `/trace?of=${of}${query}`);
    const about = ({ items }: Story) =>
      items.filter(({ event }) => /^(token|access)\./.test(event.type)).map(({ says }) => says);
    const jtiOf = (token: string) => (parseCompact(token).payload as { jti: string }).jti;

    /** As the guard of a service reports it. */
    async function used(resource: string, tokens: readonly Begun[], more: object = {}): Promise<void> {
      const guard = await feedGuard(server, resource);
      const reports = tokens.map(({ claims }) => ({
        type: 'access.used',
        id: randomBytes(16).toString('base64url'),
        at: new Date(server.clock.now()).toISOString(),
        outcome: 'allowed',
        status: 200,
        agent: claims.client_id,
        organization: claims.org,
        jti: claims.jti,
        txn: claims.txn,
        operation: 'read',
        mode: 'feed',
        ...more,
      }));
      const reporting = feedSdk(server, guard.agent, guard.jwk, ['events:report']);
      const response = await reporting.fetch(`${server.issuer}/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ reports }),
      });
      const { results } = (await response.json()) as { results: { outcome: string }[] };
      assert.deepEqual(new Set(results.map(({ outcome }) => outcome)), new Set(['recorded']));
    }

    test('of the call, of the transaction and of a replacement: what led there, what came of it, and what ended it', async () => {
      const { front, stock, ledger, caller, gateway, clerk, token } = of;
      server.clock.advance(1_000);
      const first = await begun(gateway, token);
      server.clock.advance(1_000);
      await used(stock.id, [first]);
      server.clock.advance(1_000);
      const next = await begun(clerk, first.token, { ...replacing, resource: ledger.identifier });
      server.clock.advance(1_000);
      await used(ledger.id, [next], { outcome: 'refused', code: 'insufficient_scope', status: 403 });
      server.clock.advance(1_000);
      const body = new URLSearchParams({ ...(await instanceClient(server, caller).assertion()), token });
      assert.equal((await fetch(`${server.issuer}/oauth2/revoke`, { method: 'POST', body })).status, 200);
      const endedAt = server.clock.now();

      const [services, one] = [`${stock.identifier} and ${ledger.identifier}`, ledger.identifier];
      const got = `${names.caller} got a token for ${front.identifier}, scope book pay, for `;
      const began = `${names.gateway} was called by ${names.caller} at ${front.identifier}, and asked for a transaction token for ${services}, scope book, for 5 min: `;
      const wasUsed = `a transaction token of ${names.caller} was used: read at ${stock.identifier} → 200`;
      const wentOn = `${names.clerk} went on inside for ${names.caller}, and asked for another transaction token for ${one}, scope book, for 5 min: `;
      const refused = `a transaction token of ${names.caller} was refused: read at ${one} → 403`;
      const ended = `${names.caller} ended the token`;
      const stories: [what: string, jti: string, told: string[]][] = [
        ['the call', jtiOf(token), [got, began, wasUsed, wentOn, refused, ended]],
        ['the transaction', first.claims.txn, [got, began, wasUsed, wentOn, refused, ended]],
        ['the replacement', next.claims.jti, [got, began, wentOn, refused, ended]],
      ];
      for (const [what, jti, told] of stories) {
        const said = about(await story(jti));
        assert.equal(said.length, told.length, `${what}: ${said.join('\n')}`);
        for (const [index, begins] of told.entries())
          assert.ok(said[index]?.startsWith(begins), `${what}: ${said[index]}`);
      }
      const whole = await story(first.claims.txn);
      const created = whole.items.filter(({ event }) => event.type === 'agent.created');
      assert.equal(created.length, 3, 'whoever is in it is told of from the beginning');

      // the same of whoever acts, and of who serves
      for (const { clientId } of [caller, gateway]) {
        const said = about(await story(clientId));
        assert.ok(
          said.some((each) => each.startsWith(began)),
          said.join('\n'),
        );
      }

      const cli = commandLine(server);
      const { out } = await cli('trace', first.claims.txn);
      assert.ok(out.includes(`• ${began}`) && out.includes(`• ${wasUsed}`) && out.includes(`✗ ${refused}`), out);
      cli.close();

      type Document = { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
      const { resourceSpans } = await server.admin<Document>('GET', `/trace/spans?of=${first.claims.txn}`);
      const [root, outer, inner, replaced, atStock, atLedger] = resourceSpans[0]?.scopeSpans[0]?.spans ?? [];
      const tree = [outer, inner, replaced, atStock, atLedger].map((span) => [span?.name, span?.parentSpanId]);
      assert.deepEqual(tree, [
        [`token ${front.identifier}`, root?.spanId],
        [`transaction token ${front.identifier}`, outer?.spanId],
        [`transaction token ${stock.identifier}`, inner?.spanId],
        ['read', inner?.spanId],
        ['read', replaced?.spanId],
      ]);
      for (const span of [inner, replaced, atStock, atLedger]) {
        const txn = span?.attributes.find(({ key }) => key === 'bailiwick.txn');
        assert.equal(txn?.value.stringValue, first.claims.txn, String(span?.name));
      }
      assert.ok(replaced?.attributes.some(({ key }) => key === 'bailiwick.requested_by'));
      for (const span of [outer, inner, replaced]) {
        assert.equal(span?.endTimeUnixNano, `${endedAt}000000`, 'what ends a token ends what came of it');
      }
    });

    test('of a task: what was done under it inside, too; and what was refused is called by its name', async () => {
      const world = await transactionScene(server, scene);
      const task = await (await orchestratorClient(server)).open(world.caller.clientId);
      const own = await world.caller.send({ resource: world.front.identifier, scope: 'book', task: task.id });
      assert.equal(own.status, 200, JSON.stringify(own.body));
      const inside = await begun(world.gateway, String(own.body.access_token));
      await used(world.stock.id, [inside]);
      const said = about(await story(task.id));
      assert.equal(said.length, 3, said.join('\n'));
      assert.match(said[1] ?? '', /asked for a transaction token/);
      assert.match(said[2] ?? '', /^a transaction token of \S+ was used: read at /);

      const { status } = await world.gateway.send(transactionOf(String(own.body.access_token), { scope: 'burn' }));
      assert.equal(status, 400);
      assert.match(about(await story(world.gateway.clientId)).at(-1) ?? '', /was refused a transaction token: /);
    });

    test('many are told together, and apart from what was got outside', async () => {
      const world = await transactionScene(server, scene);
      const inside = await begun(world.gateway, world.token);
      await used(world.stock.id, Array<Begun>(45).fill(inside));
      const { identifier } = world.stock;
      const [, , uses] = about(await story(inside.claims.txn));
      assert.match(uses ?? '', new RegExp(`^transaction tokens of \\S+ were used 45 times at ${identifier}, until `));
      for (let n = 0; n < 160; n += 1) await begun(world.gateway, world.token);
      const said = about(await story(jtiOf(world.token)));
      assert.match(said[1] ?? '', / asked for a transaction token 161 times, called at https:\S+, until /);
      assert.equal(said.length, 3, said.join('\n'));
    });
  });
}
