/** What is refused to agents that ask for parts of mandates, and to those that answer. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newId } from '../lib/ids.ts';
import { findRequest, insertRequest } from '../mandates/request-store.ts';
import { type Delegate, type Delegates, delegate, delegates } from '../testing/delegates.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import type { TestInstance } from '../testing/instance-client.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { tokenClient } from '../testing/token-client.ts';
import { pendingAtMost } from './ask.ts';

const never = (prefix: string) => `${prefix}_01hzzzzzzzzzzzzzzzzzzzzzzz`;
const url = '/mandates/requests';

for (const database of databases) {
  describe(`what is refused of requests, on ${database}`, () => {
    let server: TestServer;
    let scene: Delegates;
    let a: Delegate;
    let b: Delegate;
    let c: Delegate;
    let held: string;
    let others: Record<'retired' | 'suspended' | 'far', string>;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      scene = await delegates(server, 3);
      [a, b, c] = scene.agents as [Delegate, Delegate, Delegate];
      held = (await scene.give(a, { passing: { depth: 1, to: [b.id] } })).id;
      const stopped = async (how: string) => {
        const { clientId } = await tokenClient(server);
        await server.admin('POST', `/agents/${clientId}/${how}`, { reason: 'test' });
        return clientId;
      };
      const { id: organization } = await server.admin<{ id: string }>('POST', '/organizations', { name: 'far' });
      const far = await orchestratorClient(server, { organization });
      others = { retired: await stopped('retire'), suspended: await stopped('suspend'), far: far.clientId };
    });
    after(() => server.close());

    const good = () => ({ from: a.id, resources: [{ resource: scene.api.identifier, scope: 'read' }] });

    const ofAsking: [what: string, change: () => object, status: number, field: string][] = [
      ['nobody', () => ({ from: undefined }), 400, 'from'],
      ['somebody who is no agent', () => ({ from: scene.person }), 400, 'from'],
      ['nothing', () => ({ resources: undefined }), 400, 'resources'],
      ['no resources', () => ({ resources: [] }), 400, 'resources'],
      ['an unknown member', () => ({ agent: b.id }), 400, 'agent'],
      ['a mandate that is no id', () => ({ parent: 'mdt_1' }), 400, 'parent'],
      ['an address that is none', () => ({ context: { ip: ['x'] } }), 400, 'context.ip'],
      ['uses that are none', () => ({ limits: { uses: 0 } }), 400, 'limits.uses'],
      ['no depth', () => ({ passing: { depth: -1 } }), 400, 'passing.depth'],
      ['no time', () => ({ expires_in: 0 }), 400, 'expires_in'],
      ['an answer at once', () => ({ answer_within: 0 }), 400, 'answer_within'],
      ['an answer some time', () => ({ answer_within: 3601 }), 400, 'answer_within'],
      ['with too many words', () => ({ why: 'x'.repeat(2001) }), 400, 'why'],
      ['an agent that is not there', () => ({ from: never('agt') }), 422, 'from'],
      ['an agent that has retired', () => ({ from: others.retired }), 422, 'from'],
      ['an agent that is suspended', () => ({ from: others.suspended }), 422, 'from'],
      ['an agent of another organization', () => ({ from: others.far }), 422, 'from'],
      ['itself', () => ({ from: b.id }), 422, 'from'],
    ];
    for (const [what, change, status, field] of ofAsking) {
      test(`asking ${what}: ${status} ${field}`, async () => {
        const reply = await b.call('POST', url, { ...good(), ...change() });
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.body.errors[0].field, field, reply.text);
        assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json/);
      });
    }

    test('none of it was asked, and what was decided on is on record', async () => {
      assert.deepEqual((await server.admin<{ items: unknown[] }>('GET', url)).items, []);
      const query = `agent=${b.id}&type=mandate.refused`;
      const { items } = await server.admin<{ items: unknown[] }>('GET', `/events?${query}`);
      assert.equal(items.length, ofAsking.filter(([, , status]) => status === 422).length);
    });

    test('asking tells nothing: not of APIs, not of mandates, not of who holds which', async () => {
      const told = new Set<string>();
      for (const parent of [held, never('mdt'), undefined]) {
        for (const resource of [scene.api.identifier, 'https://nobody.example']) {
          const { status, body } = await c.call('POST', url, { from: a.id, parent, resources: [{ resource }] });
          assert.equal(status, 201);
          told.add(
            Object.keys(body)
              .filter((name) => name !== 'parent')
              .join(' '),
          );
          await c.call('DELETE', `${url}/${body.id}`);
        }
      }
      assert.equal(told.size, 1);
    });

    const asked = async (by = b, more: object = {}): Promise<string> => {
      const reply = await by.call('POST', url, { ...good(), ...more });
      assert.equal(reply.status, 201, reply.text);
      return reply.body.id;
    };

    const ofGranting: [what: string, change: () => object, status: number, field: string][] = [
      ['an unknown member', () => ({ agent: c.id }), 400, 'agent'],
      ['no resources', () => ({ resources: [] }), 400, 'resources'],
      ['of no mandate', () => ({ parent: undefined }), 422, 'parent'],
      ['of one that is not there', () => ({ parent: never('mdt') }), 422, 'parent'],
      [
        'of an API that it is not for',
        () => ({ resources: [{ resource: 'https://nobody.example' }] }),
        422,
        'resources[0].resource',
      ],
      [
        'a scope that was not asked for',
        () => ({ resources: [{ resource: scene.api.identifier, scope: 'book' }] }),
        422,
        'resources[0].scope',
      ],
      ['deeper than asked for', () => ({ passing: { depth: 1 } }), 422, 'passing.depth'],
      ['longer than it lasts', () => ({ expires_in: 90_000 }), 422, 'expires_in'],
      ['for a task that is not there', () => ({ task: { id: never('tsk') } }), 422, 'task.id'],
    ];
    for (const [what, change, status, field] of ofGranting) {
      test(`granting ${what}: ${status} ${field}`, async () => {
        const id = await asked();
        const reply = await a.call('POST', `${url}/${id}/grant`, { parent: held, ...change() });
        assert.deepEqual([reply.status, reply.body.errors[0].field], [status, field], reply.text);
        assert.equal((await b.call('GET', `${url}/${id}`)).body.status, 'pending', 'it can still be granted');
      });
    }

    test('to whom the mandate may not come, and from whom nothing can be asked', async () => {
      const closed = await a.call('POST', `${url}/${await asked(c)}/grant`, { parent: held });
      assert.deepEqual([closed.status, closed.body.errors[0].field], [422, 'agent'], closed.text);
      const below = await a.pass((await scene.give(a)).id, { agent: b.id, passing: { depth: 1 } });
      const back = await a.call('POST', url, { ...good(), from: b.id });
      const cycle = await b.call('POST', `${url}/${back.body.id}/grant`, { parent: below.id });
      assert.deepEqual([cycle.status, cycle.body.errors[0].field], [422, 'agent'], cycle.text);
    });

    test('a request is nothing to whom it is not for, and only whoever is on its side answers', async () => {
      const id = await asked();
      const paths: [string, string][] = [
        ['GET', ''],
        ['DELETE', ''],
        ['POST', '/grant'],
        ['POST', '/refuse'],
      ];
      for (const [who, statuses] of [
        [c, [404, 404, 404, 404]],
        [b, [200, undefined, 404, 404]],
        [a, [200, 404, undefined, undefined]],
      ] as const) {
        for (const [index, [method, path]] of paths.entries()) {
          if (statuses[index] === undefined) continue;
          assert.equal((await who.call(method, `${url}/${id}${path}`)).status, statuses[index], `${method} ${path}`);
        }
      }
      for (const none of [never('mrq'), 'mrq_1', 'mrq_%00', held]) {
        for (const [method, path] of paths)
          assert.equal((await b.call(method, `${url}/${none}${path}`)).status, 404, `${method} ${none}${path}`);
      }
      assert.equal((await a.call('POST', `${url}/${id}/refuse`, { reason: 'a\nb' })).status, 400);
      for (const query of ['side=both', 'status=over', 'limit=0', 'cursor=x', 'from=x'])
        assert.equal((await a.call('GET', `${url}?${query}`)).status, 400, query);
      for (const [method, path] of [
        ['PUT', url],
        ['PATCH', `${url}/${id}`],
        ['GET', `${url}/${id}/grant`],
        ['DELETE', `${url}/${id}/refuse`],
      ] as const)
        assert.equal((await a.call(method, path)).status, 405, `${method} ${path}`);
    });

    test('whoever has no token, or one without the scope', async () => {
      assert.equal((await fetch(`${server.address}${url}`)).status, 401);
      const orchestrator = await orchestratorClient(server);
      const refused = await orchestrator.call('POST', url, good());
      assert.equal(refused.status, 403, refused.text);
      assert.match(refused.headers.get('www-authenticate') ?? '', /insufficient_scope.*mandates:pass/);
    });

    test('a copy that was given less than its agent answers nothing for it, and withdraws only what it asked for', async () => {
      const asker = delegate(server, await tokenClient(server));
      await server.admin('PATCH', `/agents/${a.id}`, {
        resources: [
          { resource: scene.api.id, default: true, scope: [] },
          { resource: server.issuer, default: false, scope: ['mandates:pass'] },
        ],
      });
      const permissions = [{ resource: server.issuer, scopes: ['mandates:pass'] }];
      const role = await server.admin<{ id: string }>('POST', '/roles', { name: 'asks', permissions });
      await server.admin('PUT', `/agents/${a.id}/roles/${role.id}`);
      const allowed = [
        { resource: scene.api.identifier, scope: 'read' },
        { resource: server.issuer, scope: 'mandates:pass' },
      ];
      const made = await a.instances.child(await a.instances.instance(), { allowed });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      const less: TestInstance = { id: made.id, signer: made.signer, answer: {} };
      const id = await asked(b);
      const refused = await a.call('POST', `${url}/${id}/refuse`, {}, { by: less });
      assert.equal(refused.status, 403, refused.text);
      const granted = await a.call('POST', `${url}/${id}/grant`, { parent: held }, { by: less });
      assert.equal(granted.status, 201, granted.text);
      const wider = await asked(b, { resources: [{ resource: scene.api.identifier, scope: 'book' }] });
      const beyond = await a.call('POST', `${url}/${wider}/grant`, { parent: held }, { by: less });
      assert.equal(beyond.status, 422, beyond.text);
      assert.match(beyond.body.detail, new RegExp(`is more than instance ${less.id} allows`));
      const ofAgent = await a.call('POST', url, { ...good(), from: asker.id });
      assert.equal((await a.call('DELETE', `${url}/${ofAgent.body.id}`, undefined, { by: less })).status, 403);
      const own = await a.call('POST', url, { ...good(), from: asker.id }, { by: less });
      assert.equal(own.status, 201, own.text);
      assert.equal((await a.call('DELETE', `${url}/${own.body.id}`, undefined, { by: less })).status, 204);
    });

    test('one who has asked a hundred times asks no more until something of it is answered, withdrawn or over', async () => {
      const first = await asked(c);
      const model = await findRequest(server.deps.db, first);
      assert.ok(model);
      await server.deps.db.transaction(async (tx) => {
        for (;;) {
          const copy = { ...model, id: newId(server.deps, 'mandate_request') };
          if (!(await insertRequest(tx, copy, pendingAtMost))) break;
        }
      });
      const full = await c.call('POST', url, good());
      assert.deepEqual([full.status, full.body.errors[0].field], [409, 'agent'], full.text);
      assert.equal((await b.call('POST', url, good())).status, 201, 'others may');
      await c.call('DELETE', `${url}/${first}`);
      await asked(c);
      assert.equal((await c.call('POST', url, good())).status, 409);
      const pages: string[] = [];
      for (let cursor = ''; ; ) {
        const { body } = await c.call('GET', `${url}?side=asking&limit=40${cursor}`);
        pages.push(...body.items.map((each: { id: string }) => each.id));
        if (body.next_cursor === undefined) break;
        cursor = `&cursor=${body.next_cursor}`;
      }
      assert.equal(new Set(pages).size, pendingAtMost);
      server.clock.advance(600_000);
      await asked(c);
    });
  });
}
