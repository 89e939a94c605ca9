import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { evaluator } from '../testing/pdp-client.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const reason = 'a test';

/** Forbids reading before noon; the test's clock says nine. */
const noon = (identifier: string) => `@id("from-noon")
@reason("Not before noon.")
@public
forbid (principal, action == Action::"token:issue", resource == Api::"${identifier}")
when { context.scope.contains("tickets:read") && context.time.hour < 12 };
`;

interface Difference {
  change: string;
  name: string;
  before: string;
  after: string;
  by: string[];
  count: number;
}

for (const database of databases) {
  describe(`rehearsed and explained (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let client: TokenClient;
    let other: TokenClient;
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      client = await tokenClient(server);
      other = await tokenClient(server);
    });
    after(() => server.close());

    // biome-ignore lint/suspicious/noExplicitAny: an answer that a test looks at
    const explain = (body: object): Promise<any> => operator.ok('POST', '/policies/explain', body);
    // biome-ignore lint/suspicious/noExplicitAny: as above
    const simulate = (body: object): Promise<any> =>
      operator.ok('POST', '/policies/simulate', { since: '2026-11-01T00:00:00Z', ...body });
    const draft = (text: string) => ({ name: 'draft', text });
    const policy = async (name: string, text: string, mode = 'enforce') =>
      (await operator.ok('POST', '/policies', { name, text, mode, reason })).id as string;
    const remove = (id: string) => operator.ok('POST', `/policies/${id}/remove`, { reason });
    const lastEvent = async (agent: string) => (await operator.ok('GET', `/events?agent=${agent}&limit=1`)).items[0];

    test('simulation tells who would lose, how often and by what, and changes nothing', async () => {
      for (let n = 0; n < 3; n += 1) assert.equal((await client.send()).status, 200);
      assert.equal((await client.send({ scope: 'tickets:write' })).status, 200);
      assert.equal((await other.send()).status, 200);
      const result = await simulate({ drafts: [draft(noon(client.identifier))] });
      assert.equal(result.differences.length, 1, JSON.stringify(result));
      const { first, last, name, ...difference } = result.differences[0];
      assert.deepEqual(difference, {
        change: 'loses',
        agent: client.clientId,
        action: 'token:issue',
        resource: client.identifier,
        before: 'allow',
        after: 'deny',
        by: ['draft/from-noon'],
        count: 3,
      });
      assert.match(name, /^agent-/);
      assert.ok(first <= last);
      assert.ok(result.replayed >= 5);
      assert.equal((await client.send()).status, 200);
    });

    test('page by page it finds the same', async () => {
      const drafts = [draft(noon(client.identifier))];
      const whole: Difference[] = (await simulate({ drafts })).differences;
      let [count, pages] = [0, 0];
      let cursor: string | undefined;
      do {
        const page = await simulate({ drafts, limit: 2, cursor });
        for (const one of page.differences) count += one.count;
        cursor = page.next_cursor;
        pages += 1;
      } while (cursor !== undefined);
      assert.equal(count, whole[0]?.count);
      assert.ok(pages > 2);
    });

    test('who is refused now gains, is told of limits, and of nothing that is the same', async () => {
      const id = await policy('noon', noon(client.identifier));
      const refused = await client.send();
      assert.deepEqual([refused.status, refused.body.error], [400, 'access_denied']);
      const without = await simulate({ drafts: [{ name: 'noon', remove: true }] });
      assert.deepEqual(
        without.differences.map(({ change, before, after, by }: Difference) => [change, before, after, by]),
        [['gains', 'deny', 'allow', ['starter/roles-do-what-they-say']]],
      );
      const same = await simulate({ drafts: [{ name: 'noon', text: noon(client.identifier) }] });
      assert.deepEqual(same.differences, []);
      await remove(id);
      const limiting = `@id("short")\n@limit_lifetime("60")\npermit (principal, action, resource == Api::"${other.identifier}");\n`;
      const limited = await simulate({ drafts: [draft(limiting)] });
      assert.deepEqual(
        limited.differences.map(({ change, name }: Difference) => [change, name.startsWith('agent-')]),
        [['limits', true]],
      );
      const stepUp = noon(client.identifier).replace('@public', '@public\n@step_up("task")');
      const [notYet] = (await simulate({ drafts: [draft(stepUp)] })).differences;
      assert.deepEqual([notYet.change, notYet.after], ['loses', 'step_up']);
      const nothing = await simulate({ drafts: [{ name: 'starter', remove: true }] });
      assert.ok(nothing.differences.every(({ change, by }: Difference) => change === 'loses' && by.length === 0));
    });

    const refusedDrafts: [what: string, body: object, status: number, field: RegExp][] = [
      ['no draft', { drafts: [] }, 400, /^drafts$/],
      ['the same name twice', { drafts: [draft('permit'), { name: 'draft', remove: true }] }, 422, /^drafts$/],
      ['a draft that can not be read', { drafts: [draft('permit (')] }, 422, /^drafts\[0\]\.text$/],
      ['a removed one that there is not', { drafts: [{ name: 'nights', remove: true }] }, 422, /^drafts\[0\]\.name$/],
      ['no time', { drafts: [draft('x')], since: 'lately' }, 400, /^since$/],
      ['more than a page may be', { drafts: [draft('x')], limit: 2001 }, 400, /^limit$/],
      ['a cursor of another list', { drafts: [{ name: 'starter', remove: true }], cursor: 'x' }, 400, /^cursor$/],
    ];
    for (const [what, body, status, field] of refusedDrafts) {
      test(`simulation refuses ${what}`, async () => {
        const reply = await operator.call('POST', '/policies/simulate', { since: '2026-11-01T00:00:00Z', ...body });
        assert.equal(reply.status, status, reply.text);
        assert.match(reply.body.errors[0].field, field);
      });
    }

    test('decisions of somebody who was erased can not be asked again, and are counted', async () => {
      const gone = await tokenClient(server);
      assert.equal((await gone.send()).status, 200);
      const before = await simulate({ drafts: [draft(noon(gone.identifier))] });
      assert.equal(before.differences.length, 1);
      await operator.ok('POST', `/agents/${gone.clientId}/retire`);
      await operator.ok('DELETE', `/people/${gone.owner}`);
      const after = await simulate({ drafts: [draft(noon(gone.identifier))] });
      assert.deepEqual(after.differences, []);
      assert.equal(after.erased, before.erased + 1);
      const told = await explain({ event: (await lastEvent(gone.clientId)).id });
      assert.deepEqual([told.asked, /erased/.test(told.says)], [false, true]);
    });

    test('an agent that may: every layer says so', async () => {
      const { layers, decision, statements } = await explain({ agent: client.clientId, resource: client.identifier });
      assert.equal(decision, 'allow');
      assert.deepEqual(
        layers.map(({ layer, decision: each }: { layer: string; decision: string }) => [layer, each]),
        ['alive', 'resource', 'binding', 'roles', 'place', 'policy'].map((layer) => [layer, 'allow']),
      );
      assert.match(layers[3].says, /^Given by the role role-/);
      assert.deepEqual(
        statements.map((one: Record<string, string>) => [one.policy, one.effect, one.mode, one.outcome]),
        [
          ['starter/roles-do-what-they-say', 'permit', 'enforce', 'satisfied'],
          ['starter/declared-tasks-count-for-little', 'forbid', 'enforce', 'not_satisfied'],
          // what these three are about is said by other providers
          ['starter/revoked-elsewhere-ends-tokens', 'permit', 'enforce', 'out_of_scope'],
          ['starter/a-credential-taken-away-elsewhere-suspends', 'permit', 'enforce', 'out_of_scope'],
          ['starter/high-risk-suspends', 'permit', 'enforce', 'out_of_scope'],
        ],
      );
    });

    const layersOf: [what: string, change: (c: TokenClient) => object, layer: string, words: RegExp][] = [
      [
        'a scope that no role gives',
        () => ({ scope: ['tickets:burn'] }),
        'roles',
        /No role of this agent gives tickets:burn/,
      ],
      ['no key', () => ({ binding: 'none' }), 'binding', /bound to a key/],
      [
        'a resource of others',
        () => ({ resource: other.identifier, scope: ['tickets:read'] }),
        'resource',
        /not among those/,
      ],
    ];
    for (const [what, change, layer, words] of layersOf) {
      test(`an agent that may not: ${what}`, async () => {
        const body = { agent: client.clientId, resource: client.identifier, ...change(client) };
        const { decision, says, layers } = await explain(body);
        assert.equal(decision, 'deny');
        const found = layers.find((one: { layer: string }) => one.layer === layer);
        assert.deepEqual([found.decision, words.test(found.says)], ['deny', true], found.says);
        assert.match(says, words);
      });
    }

    test('place, time, task and policies answer as they do for a token', async () => {
      const id = await policy('noon-place', noon(client.identifier));
      const about = { agent: client.clientId, resource: client.identifier };
      const morning = await explain(about);
      assert.deepEqual(
        [morning.decision, morning.says],
        ['deny', 'It may not get the token: noon-place/from-noon forbids it.'],
      );
      assert.equal((await explain({ ...about, at: '2026-11-01T15:00:00Z' })).decision, 'allow');
      const declared = { ...about, scope: ['tickets:write'], task: { workflow: 'tidy', provenance: 'declared' } };
      assert.equal((await explain(declared)).decision, 'step_up', 'no operation that is listed takes this scope');
      await remove(id);

      await operator.ok('PATCH', `/agents/${client.clientId}`, { context: { ip: ['192.0.2.0/24'] } });
      assert.match((await explain(about)).says, /no address was named/);
      assert.match((await explain({ ...about, address: '198.51.100.1' })).says, /from this address/);
      assert.equal((await explain({ ...about, address: '192.0.2.9' })).decision, 'allow');
      await operator.ok('PATCH', `/agents/${client.clientId}`, { context: { ip: null } });
    });

    test('an operation: what its token takes, and what its guard would ask', async () => {
      const about = { agent: client.clientId, resource: client.identifier, operation: 'read' };
      const id = await policy(
        'reads',
        `@id("none")\nforbid (principal, action == Action::"resource:access", resource == Operation::"${client.identifier}#read");\n`,
      );
      const { decision, layers, statements } = await explain(about);
      assert.equal(decision, 'deny');
      const use = layers.find((one: { layer: string }) => one.layer === 'use');
      assert.equal(use.says, 'It may not use it: reads/none forbids it.');
      assert.equal(layers.find((one: { layer: string }) => one.layer === 'policy').decision, 'allow');
      const [out, satisfied] = statements
        .filter((one: { policy: string }) => one.policy === 'reads/none')
        .map((one: Record<string, string>) => [one.action, one.outcome, one.because]);
      assert.deepEqual(out, ['token:issue', 'out_of_scope', 'action']);
      assert.deepEqual(satisfied, ['resource:access', 'satisfied', undefined]);
      await remove(id);
      const unknown = await operator.call('POST', '/policies/explain', { ...about, operation: 'raed' });
      assert.equal(unknown.status, 422);
      assert.match(unknown.body.errors[0].message, /Did you mean "read"/);
    });

    test('without an agent: all who may and may not, page by page', async () => {
      const about = { resource: client.identifier, scope: ['tickets:read'] };
      const items: { agent: { id: string }; decision: string; says: string }[] = [];
      let cursor: string | undefined;
      do {
        const page = await explain({ ...about, limit: 2, cursor });
        assert.ok(page.items.length <= 2);
        items.push(...page.items);
        cursor = page.next_cursor;
      } while (cursor !== undefined);
      const found = (id: string) => items.find(({ agent }) => agent.id === id);
      assert.equal(found(client.clientId)?.decision, 'allow');
      assert.deepEqual(
        [found(other.clientId)?.decision, found(other.clientId)?.says],
        ['deny', 'This resource is not among those of its registration.'],
      );
      assert.equal(new Set(items.map(({ agent }) => agent.id)).size, items.length);
    });

    test('what was decided: by the policies of then, and by those of now', async () => {
      const id = await policy('noon-then', noon(client.identifier));
      assert.equal((await client.send()).status, 400);
      const event = await lastEvent(client.clientId);
      assert.equal(event.type, 'token.refused');
      const same = await explain({ event: event.id });
      assert.deepEqual(
        [same.asked, same.differs, same.at_the_time.decision, same.now.decision],
        [true, false, 'deny', 'deny'],
      );
      assert.equal(
        same.says,
        "It may not get the token: noon-then/from-noon forbids it. Today's policies decide the same.",
      );
      await remove(id);
      const now = await explain({ event: event.id });
      assert.deepEqual([now.differs, now.at_the_time.decision, now.now.decision], [true, 'deny', 'allow']);
      assert.equal(now.at_the_time.revision + 1, now.now.revision);
      const issued = await client.send();
      const jti = JSON.parse(
        Buffer.from(String(issued.body.access_token).split('.')[1] as string, 'base64url').toString(),
      ).jti;
      const token = await explain({ jti });
      assert.deepEqual([token.event.type, token.differs, token.now.decision], ['token.issued', false, 'allow']);
    });

    test('what a guard asked is asked again, too: of an agent, and of somebody that only it knows', async () => {
      const asking = await evaluator(server);
      const about = { type: 'operation', id: `${client.identifier}#read` };
      const question = { action: { name: 'access' }, resource: about };
      const agents = { ...question, subject: { type: 'agent', id: client.clientId } };
      const alice = {
        ...question,
        subject: { type: 'user', id: 'alice' },
        resource: { type: 'record', id: 'record-1' },
      };
      assert.equal((await asking.decide(agents)).decision, true);
      assert.equal((await asking.decide(alice)).decision, false);
      const forbid = `@id("no-reads")\nforbid (principal, action == Action::"resource:access", resource == Operation::"${about.id}");\n`;
      const people = `@id("alice")\npermit (principal == Subject::"user:alice", action, resource == Object::"record:record-1");\n`;
      const whom = async (text: string) =>
        (await simulate({ drafts: [draft(text)] })).differences.map(
          (one: Difference & { agent?: string; action: string }) => [one.change, one.agent ?? one.name, one.action],
        );
      assert.deepEqual(await whom(forbid), [['loses', client.clientId, 'resource:access']]);
      assert.deepEqual(await whom(people), [['gains', 'user:alice', 'resource:access']]);
      const { items } = await operator.ok('GET', '/events?type=access.evaluated&limit=2');
      const told = await Promise.all(items.map(({ id }: { id: string }) => explain({ event: id })));
      assert.deepEqual(
        told.map(({ asked, differs, now }) => [asked, differs, now.decision]),
        [
          [true, false, 'deny'],
          [true, false, 'allow'],
        ],
      );
    });

    test('what roles refused was no question for policies, and says so', async () => {
      assert.equal((await client.send({ scope: 'tickets:burn' })).status, 400);
      const told = await explain({ event: (await lastEvent(client.clientId)).id });
      assert.deepEqual([told.asked, told.at_the_time, told.now], [false, undefined, undefined]);
      assert.match(told.says, /^Policies were not asked: no role/);
    });

    const refused: [what: string, body: () => object, status: number, field: string | undefined][] = [
      ['nothing to explain', () => ({}), 422, 'resource'],
      ['two things at once', () => ({ resource: client.identifier, jti: 'x' }), 422, 'resource'],
      ['a resource that is not there', () => ({ resource: 'https://nobody.example' }), 422, 'resource'],
      ['all agents without saying what', () => ({ resource: client.identifier }), 422, 'scope'],
      [
        'an instance without its agent',
        () => ({ resource: client.identifier, instance: `ins_${'0'.repeat(26)}` }),
        422,
        'instance',
      ],
      [
        'an instance that is not there',
        () => ({ resource: client.identifier, agent: client.clientId, instance: `ins_${'0'.repeat(26)}` }),
        422,
        'instance',
      ],
      [
        'a task that is not there',
        () => ({ resource: client.identifier, agent: client.clientId, task: `tsk_${'0'.repeat(26)}` }),
        422,
        'task',
      ],
      [
        'details of a type that there is not',
        () => ({ resource: client.identifier, agent: client.clientId, authorization_details: [{ type: 'x' }] }),
        422,
        'authorization_details',
      ],
      ['an address that is none', () => ({ resource: client.identifier, address: 'here' }), 400, 'address'],
      [
        'an agent that is not there',
        () => ({ resource: client.identifier, agent: `agt_${'0'.repeat(26)}` }),
        404,
        undefined,
      ],
      ['an event that is not there', () => ({ event: `evt_${'0'.repeat(26)}` }), 404, undefined],
      ['a token that is not there', () => ({ jti: '0'.repeat(26) }), 404, undefined],
    ];
    for (const [what, body, status, field] of refused) {
      test(`explaining refuses ${what}`, async () => {
        const reply = await operator.call('POST', '/policies/explain', body());
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.body.errors?.[0].field, field, reply.text);
      });
    }

    test('whoever may only read policies learns nothing of agents, nor of what lies sealed in the log', async () => {
      const { id: event } = await lastEvent(client.clientId);
      const ofAgent = { agent: client.clientId, resource: client.identifier };
      const ofAll = { resource: client.identifier, scope: ['tickets:read'] };
      const drafts = [draft('@id("guess") forbid (principal, action, resource) when { context has task };')];
      const replay = { since: '2026-11-01T00:00:00Z', drafts };
      const asked: [path: string, body: object][] = [
        ['explain', { event }],
        ['explain', { jti: 'any' }],
        ['explain', ofAgent],
        ['explain', ofAll],
        ['simulate', replay],
      ];
      for (const [scopes, expected] of [
        [['policies:read'], [403, 403, 403, 403, 403]],
        [
          ['policies:read', 'agents:read'],
          [403, 403, 200, 200, 403],
        ],
        [
          ['policies:read', 'events:read'],
          [200, 404, 403, 403, 200],
        ],
        [
          ['events:read', 'agents:read'],
          [403, 403, 403, 403, 403],
        ],
      ] as const) {
        const reader = await administrator(server, operator, { scopes: [...scopes] });
        const replies = await Promise.all(asked.map(([path, body]) => reader.call('POST', `/policies/${path}`, body)));
        assert.deepEqual(
          replies.map(({ status }) => status),
          expected,
          scopes.join(' '),
        );
        for (const { status, body } of replies) {
          if (status === 403) assert.match(body.type, /insufficient-scope$/);
        }
      }
    });

    test('an administrator of another organization learns nothing of this one', async () => {
      await operator.ok('POST', '/organizations', { name: 'theirs' });
      const stranger = await administrator(server, operator, {
        scopes: ['policies:read', 'agents:read', 'events:read'],
        organization: 'theirs',
      });
      const event = await lastEvent(client.clientId);
      for (const [body, status] of [
        [{ event: event.id }, 404],
        [{ agent: client.clientId, resource: client.identifier }, 404],
        [{ resource: client.identifier, scope: ['tickets:read'] }, 422],
      ] as const) {
        assert.equal((await stranger.call('POST', '/policies/explain', body)).status, status);
      }
      const reply = await stranger.call('POST', '/policies/simulate', {
        since: '2026-11-01T00:00:00Z',
        drafts: [{ name: 'starter', remove: true }],
      });
      assert.deepEqual([reply.body.replayed, reply.body.differences], [0, []]);
    });
  });
}
