/** Who may see what of the log: by filter, cursor, free text, story, tail and count. And how the tail goes on and ends. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { commandLine } from '../testing/command-line.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { openTail } from '../testing/tail.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { auditorScopes } from './scopes.ts';

type Item = { id: string; type: string; agent?: string; target?: string; personal: Record<string, unknown> };

for (const database of databases) {
  describe(`reading the log (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let client: TokenClient;
    let theirs: Awaited<ReturnType<typeof populate>>;
    let auditor: AdminClient & { agent: string };
    let owner: AdminClient & { agent: string };
    let jti: string;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      client = await tokenClient(server);
      await operator.ok('POST', '/organizations', { name: 'theirs' });
      theirs = await populate(operator, 'theirs');
      auditor = await administrator(server, operator, { scopes: [...auditorScopes] });
      owner = await administrator(server, operator, { scopes: ['events:own'], name: 'mine' });
      const issued = await client.send({}, { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01` });
      jti = JSON.parse(Buffer.from(String(issued.body.access_token).split('.')[1] ?? '', 'base64url').toString()).jti;
      await client.send({ scope: 'tickets:burn' });
    });
    after(() => server.close());

    const all = async (who: AdminClient, query = '') => {
      const items: Item[] = [];
      let cursor: string | undefined;
      do {
        const page = await who.ok('GET', `/events?limit=200${query}${cursor ? `&cursor=${cursor}` : ''}`);
        items.push(...page.items);
        cursor = page.next_cursor;
      } while (cursor !== undefined);
      return items;
    };

    test('filters hold together', async () => {
      const { clientId, owner: person, identifier } = client;
      const [refused] = await all(operator, `&agent=${clientId}&type=token.refused`);
      const at = (refused as unknown as { at: string }).at;
      const table: [query: string, types: string[]][] = [
        [`about=${clientId}&text=created`, ['agent.created', 'credential.created']],
        [`resource=${encodeURIComponent(identifier)}&outcome=refused`, []],
        [`policy=starter&agent=${clientId}`, ['token.issued']],
        [`type=token.issued,token.refused&owner=${person}`, ['token.issued', 'token.refused']],
        [`text=burn+gives&agent=${clientId}`, ['token.refused']],
        ['text=burn+granted', []],
        [`text=${clientId}+granted`, ['role.granted']],
        [
          `agent=${clientId}&since=${at}&until=${new Date(Date.parse(at) + 1).toISOString()}`,
          ['token.issued', 'token.refused'],
        ],
        [`agent=${clientId}&until=${at}`, []],
      ];
      for (const [query, types] of table) {
        const found = await all(operator, `&${query}`);
        assert.deepEqual(found.map(({ type }) => type).sort(), types, query);
      }
    });

    for (const [what, query, field] of [
      ['a type that there is not, beside one that there is', 'type=token.issued,token.eaten', 'type'],
      ['a trace id that is none', 'trace=xyz', 'trace'],
      ['free text without a word', 'text=%3F%21', 'text'],
      ['an instance that is none', 'instance=me', 'instance'],
      ['a cursor that is none', 'cursor=abc', 'cursor'],
      ['an order that is none', 'order=upwards', 'order'],
    ] as const) {
      test(`refuses ${what}`, async () => {
        const { status, body } = await operator.call('GET', `/events?${query}`);
        assert.deepEqual([status, body.errors[0].field], [400, field]);
      });
    }

    test('a cursor is for the question and the reach that it was made for', async () => {
      const page = await operator.ok('GET', '/events?limit=1');
      const cursor = page.next_cursor as string;
      assert.equal((await operator.call('GET', `/events?limit=2&cursor=${cursor}`)).status, 200);
      const bent = `${cursor.slice(0, -1)}${cursor.endsWith('A') ? 'B' : 'A'}`;
      for (const [who, query] of [
        [operator, `outcome=refused&cursor=${cursor}`],
        [operator, `order=oldest&cursor=${cursor}`],
        [operator, `organization=theirs&cursor=${cursor}`],
        [owner, `cursor=${cursor}`],
        [operator, `cursor=${bent}`],
      ] as const) {
        assert.equal((await who.call('GET', `/events?${query}`)).status, 400, query);
      }
      // a position counts the events of everybody: nobody can read it
      assert.ok(!Buffer.from(cursor, 'base64url').toString('latin1').includes('evt_'));
    });

    test('an auditor sees everything of its organization, nothing of another, and changes nothing', async () => {
      assert.deepEqual(
        new Set((await all(auditor)).map(({ id }) => id)),
        new Set((await all(operator)).map(({ id }) => id)),
      );
      for (const path of ['/events', '/events/tail', `/trace`, '/trace/spans']) {
        const of = path.startsWith('/trace') ? `&of=${theirs.agent.id}` : '';
        assert.equal((await auditor.call('GET', `${path}?organization=theirs${of}`)).status, 404, path);
      }
      for (const query of [
        `agent=${theirs.agent.id}`,
        `about=${theirs.agent.id}`,
        `owner=${theirs.person.id}`,
        `text=${theirs.agent.id}`,
      ]) {
        assert.deepEqual(await all(auditor, `&${query}`), [], query);
      }
      for (const path of [`/trace?of=${theirs.agent.id}`, `/trace/spans?of=${theirs.agent.id}`]) {
        const [one, never] = [
          await auditor.call('GET', path),
          await auditor.call('GET', path.replace(/.{4}$/, 'zzzz')),
        ];
        assert.deepEqual([one.status, never.status], [404, 404]);
      }
      for (const [method, path, body] of [
        ['POST', '/teams', { name: 'auditors' }],
        ['POST', `/agents/${client.clientId}/suspend`, {}],
        ['DELETE', `/people/${client.owner}`, undefined],
      ] as const) {
        assert.equal((await auditor.call(method, path, body)).status, 403, path);
      }
      const everywhere = await administrator(server, operator, { scopes: [...auditorScopes, 'organizations:any'] });
      assert.ok((await all(everywhere, '&organization=theirs')).some(({ target }) => target === theirs.agent.id));
    });

    test('an owner sees what concerns their agents: what these did, and what was done to them by whomever', async () => {
      const seen = await all(owner);
      assert.ok(seen.length > 0);
      for (const { agent, target = '', personal } of seen) {
        const own = agent === owner.agent;
        assert.ok(own || target === owner.agent || target.startsWith('crd_'), `${agent} ${target}`);
        if (!own) assert.deepEqual(personal, {}, 'from where an operator acted is not theirs');
      }
      assert.ok(seen.some(({ type, target }) => type === 'agent.created' && target === owner.agent));
      for (const query of [
        `agent=${client.clientId}`,
        `jti=${jti}`,
        `owner=${client.owner}`,
        'type=token.refused',
        `text=${client.clientId}`,
      ]) {
        assert.deepEqual(await all(owner, `&${query}`), [], query);
      }
      const whole = (await all(operator, `&about=${owner.agent}`)).map(({ id }) => id);
      assert.deepEqual(
        seen.map(({ id }) => id).filter((id) => !whole.includes(id)),
        [],
      );
      for (const id of [jti, client.clientId, 'ab'.repeat(16)]) {
        assert.equal((await owner.call('GET', `/trace?of=${id}`)).status, 404, id);
        assert.equal((await owner.call('GET', `/trace/spans?of=${id}`)).status, 404, id);
      }
      const story = await owner.ok('GET', `/trace?of=${owner.agent}`);
      assert.match(story.items[0].says, /was registered by operator/);
    });

    test('who has neither scope reads nothing, a guard included', async () => {
      const nobody = await administrator(server, operator, { scopes: ['agents:read'] });
      const guard = adminClient(server, { client_id: theirs.guard.agent, jwk: theirs.guardKey });
      for (const who of [nobody, guard]) {
        for (const path of ['/events', '/events/tail', `/trace?of=${jti}`, `/trace/spans?of=${jti}`]) {
          assert.equal((await who.call('GET', path)).status, 403, path);
        }
      }
    });

    test('a story goes from registration through the token to its end, and as spans', async () => {
      const story = await operator.ok('GET', `/trace?of=${jti}`);
      assert.equal(story.of.kind, 'token');
      assert.deepEqual(
        story.items.map(({ event }: { event: Item }) => event.type),
        ['agent.created', 'credential.created', 'role.granted', 'token.issued'],
      );
      const name = story.names[client.clientId];
      assert.match(
        story.items.at(-1).says,
        new RegExp(`^${name} got a token for https://.*, scope tickets:read, for 10 min: role `),
      );
      server.clock.advance(1_000);
      await operator.ok('POST', `/agents/${client.clientId}/suspend`, { reason: 'odd' });
      await operator.ok('POST', `/agents/${client.clientId}/resume`);
      const after = await operator.ok('GET', `/trace?of=${'ab'.repeat(16)}`);
      const types: string[] = after.items.map(({ event }: { event: Item }) => event.type);
      assert.deepEqual(
        types.slice(3).filter((type) => type !== 'revocation.acknowledged'),
        ['token.issued', 'agent.suspended', 'agent.resumed'],
      );

      const { resourceSpans } = await operator.ok('GET', `/trace/spans?of=${jti}`);
      const [{ scopeSpans }] = resourceSpans;
      const [root, token] = scopeSpans[0].spans;
      assert.equal(root.traceId, 'ab'.repeat(16));
      assert.deepEqual([token.traceId, token.parentSpanId], [root.traceId, root.spanId]);
      assert.deepEqual(token.links, [{ traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8) }]);
      assert.ok(BigInt(token.endTimeUnixNano) > BigInt(token.startTimeUnixNano));
      assert.deepEqual(await operator.ok('GET', `/trace/spans?of=${jti}`), { resourceSpans });
    });

    test('the tail tells what happens, goes on where it broke off, and ends with the token', {
      timeout: 60_000,
    }, async () => {
      const first = await openTail(server, auditor, '?text=suspended');
      await first.until((text) => /^id: /m.test(text));
      await operator.ok('POST', `/agents/${client.clientId}/suspend`, { reason: 'odd' });
      await operator.ok('POST', `/agents/${client.clientId}/resume`);
      await first.until((text) => text.includes('agent.suspended'));
      assert.doesNotMatch(first.text(), /agent\.resumed/);
      const id = [...first.text().matchAll(/^id: (\S+)$/gm)].at(-1)?.[1] as string;
      first.close();

      const other = await administrator(server, operator, { scopes: ['agents:read'] });
      await operator.ok('POST', `/agents/${other.agent}/suspend`, {});
      const second = await openTail(server, auditor, '?text=suspended', id);
      await second.until((text) => text.includes(other.agent));
      assert.doesNotMatch(second.text(), new RegExp(client.clientId), 'not told twice');

      assert.equal(
        (await auditor.call('GET', '/events/tail?text=resumed', undefined, { 'last-event-id': id })).status,
        400,
      );
      assert.equal(
        (await owner.call('GET', '/events/tail?text=suspended', undefined, { 'last-event-id': id })).status,
        400,
      );

      // what is revoked sees nothing of what came after it
      await operator.ok('POST', `/agents/${auditor.agent}/suspend`, { reason: 'left' });
      await second.until((text) => text.includes('event: end'));
      assert.ok(!second.text().includes(auditor.agent));
      await operator.ok('POST', `/agents/${auditor.agent}/resume`);
    });

    test('from the command line: lines, and stories', async () => {
      const cli = commandLine(server);
      const lines = await cli('events', '--by', client.clientId);
      assert.match(lines.out, /^2026-11-01 09:\S+Z {2}✓ token\.issued .* agent-\S+ → https:/m);
      assert.match(lines.out, /✗ token\.refused/);
      assert.equal((await cli('events', '--text', 'nothingness')).err, 'Nothing in the log fits.\n');
      const [event] = (await cli('events', '--jti', jti, '--json')).out.trim().split('\n');
      assert.equal(JSON.parse(event ?? '').jti, jti);
      const story = await cli('trace', jti);
      assert.match(
        story.out,
        /^The story of token .*\n\d+ steps.*\n\n2026-11-01\n {2}09:00:00\.000 {2}• agent-\S+ was registered by operator$/m,
      );
      assert.equal((await cli.json<{ of: { id: string } }>('trace', jti)).of.id, jti);
      assert.match((await cli('trace', jti, '--otlp')).out, /"resourceSpans"/);
      assert.match((await cli('trace', `tsk_${'0'.repeat(26)}`)).err, /There is no task/);
    });
  });
}
