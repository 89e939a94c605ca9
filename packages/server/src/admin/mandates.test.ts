/** Mandates as administrators give and see them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { tidy } from '../jobs.ts';
import { asOf } from '../liveness/liveness.ts';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';

const never = (prefix: string) => `${prefix}_01hzzzzzzzzzzzzzzzzzzzzzzz`;
const day = 86_400;

for (const database of databases) {
  describe(`mandates, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let things: Awaited<ReturnType<typeof populate>>;
    let elsewhere: Awaited<ReturnType<typeof populate>>;
    let bank: string;

    const wanted = (more: object = {}) => ({
      person: things.person.id,
      agent: things.agent.id,
      resources: [{ resource: things.resource.identifier, scope: 'tickets:read' }],
      expires_in: day,
      ...more,
    });
    const give = (more?: object) => operator.ok('POST', '/mandates', wanted(more));
    const payments = (more: object = {}) => ({
      resources: [{ resource: bank, authorization_details: [{ type: 'payment', amount: 100, ...more }] }],
    });

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      things = await populate(operator, 'default');
      await operator.ok('POST', '/organizations', { name: 'elsewhere' });
      elsewhere = await populate(operator, 'elsewhere');
      bank = 'https://bank.example/api';
      const { id } = await operator.ok('POST', '/resources', {
        identifier: bank,
        name: 'Bank',
        details_types: [
          {
            type: 'payment',
            description: 'Pay somebody',
            schema: {
              type: 'object',
              properties: { amount: { type: 'number' }, currency: { type: 'string' }, to: { type: 'string' } },
              required: ['amount', 'currency', 'to'],
              additionalProperties: false,
            },
            compare: { amount: 'at_most' },
          },
        ],
      });
      const resources = [...things.agent.resources, { resource: id, default: false, scope: [] }];
      await operator.ok('PATCH', `/agents/${things.agent.id}`, { resources });
    });
    after(() => server.close());

    test('given, shown as it was given, and on record without the person', async () => {
      const said = {
        resources: [
          { resource: things.resource.identifier, scope: 'tickets:read' },
          { resource: bank, authorization_details: [{ type: 'payment', amount: 100, currency: 'EUR' }] },
        ],
        context: { ip: ['10.0.0.0/8'] },
        task: { workflow: 'travel', environment: 'production' },
        limits: {
          uses: 20,
          amounts: [{ type: 'payment', amount: '/amount', unit: { at: '/currency', is: 'EUR' }, total: 500.25 }],
        },
        passing: { depth: 2, to: [things.agent.id] },
      };
      const given = { way: 'consent', text: 'desk may pay up to 500.25 EUR for you', language: 'en-GB' };
      const reply = await operator.call('POST', '/mandates', wanted({ ...said, given }));
      assert.equal(reply.status, 201, reply.text);
      const { hints, ...made } = reply.body;
      assert.match(made.id, /^mdt_/);
      assert.equal(reply.headers.get('location'), `${server.issuer}/admin/v1/mandates/${made.id}`);
      const expected = {
        id: made.id,
        organization: things.person.organization,
        person: things.person.id,
        agent: things.agent.id,
        ...said,
        given: { ...given, by: operator.clientId },
        status: 'active',
        ledger: [
          { counter: 'amount:0', spent: 0, most: 500.25 },
          { counter: 'uses', spent: 0, most: 20 },
        ],
        created_at: new Date(server.clock.now()).toISOString(),
        expires_at: new Date(server.clock.now() + day * 1000).toISOString(),
      };
      assert.deepEqual(made, expected);
      assert.deepEqual(await operator.ok('GET', `/mandates/${made.id}`), expected);
      assert.equal(hints.length, 1, 'no role gives a payment');
      assert.match(hints[0], /no role of the agent gives all of .*payment.* on https:\/\/bank\.example\/api/);

      const { items } = await operator.ok('GET', `/events?target=${made.id}`);
      assert.deepEqual(
        items.map(({ type }: { type: string }) => type),
        ['mandate.given'],
      );
      const { personal, ...open } = items[0];
      assert.equal(personal.person, things.person.id);
      assert.equal(personal.details.text, given.text);
      for (const secret of [things.person.id, 'may pay', '10.0.0.0', '500.25'])
        assert.ok(!JSON.stringify(open).includes(secret), secret);
      const found = await operator.ok('GET', `/events?person=${things.person.id}&type=mandate.given`);
      assert.ok(
        found.items.some(({ id }: { id: string }) => id === items[0].id),
        'it is found by the person',
      );
    });

    test('what isn’t said isn’t limited, and it is not passed on', async () => {
      const made = await give();
      for (const member of ['context', 'task', 'limits', 'hints', 'instance', 'parent', 'stopped_by', 'ended_at'])
        assert.ok(!(member in made), member);
      assert.deepEqual(made.passing, { depth: 0 });
      assert.deepEqual(made.ledger, []);
      assert.deepEqual(made.given, { way: 'administrator', by: operator.clientId });
    });

    test('operations are named as details; an instance that runs, a task that is open', async () => {
      const orchestrator = await orchestratorClient(server);
      const { id } = await orchestrator.open(things.agent.id);
      const made = await give({
        instance: things.instance,
        resources: [{ resource: things.resource.id, operations: ['list'] }],
        task: { id },
      });
      assert.equal(made.instance, things.instance);
      assert.deepEqual(made.task, { id });
      assert.deepEqual(made.resources, [
        {
          resource: things.resource.identifier,
          authorization_details: [{ type: 'operation', actions: ['list'] }],
        },
      ]);
    });

    test('giving one costs nobody a memory of the registry', async () => {
      const before = await asOf(server.deps.db);
      await give();
      assert.deepEqual(await asOf(server.deps.db), before);
    });

    test('asked for twice with one key it is given once', async () => {
      const ask = () => operator.call('POST', '/mandates', wanted(), { 'idempotency-key': `once-${database}` });
      const [first, second] = [await ask(), await ask()];
      assert.equal(second.body.id, first.body.id);
      assert.equal(second.headers.get('idempotent-replayed'), 'true');
    });

    const rejections: [what: string, more: () => object, status: number, field: string][] = [
      ['no person', () => ({ person: undefined }), 400, 'person'],
      ['a person that never was', () => ({ person: never('per') }), 422, 'person'],
      ['a person of another organization', () => ({ person: elsewhere.person.id }), 422, 'person'],
      ['a team for a person', () => ({ person: things.team.id }), 400, 'person'],
      ['an agent that never was', () => ({ agent: never('agt') }), 422, 'agent'],
      ['an agent of another organization', () => ({ agent: elsewhere.agent.id }), 422, 'agent'],
      ['an instance that never was', () => ({ instance: never('ins') }), 422, 'instance'],
      ['an instance of another agent', () => ({ instance: elsewhere.instance }), 422, 'instance'],
      ['no resources', () => ({ resources: [] }), 400, 'resources'],
      ['resources unsaid', () => ({ resources: undefined }), 400, 'resources'],
      ['nothing on a resource', () => ({ resources: [{ resource: bank }] }), 422, 'resources[0]'],
      [
        'a resource of another organization',
        () => ({ resources: [{ resource: elsewhere.resource.id, scope: 'tickets:read' }] }),
        422,
        'resources[0].resource',
      ],
      [
        'a scope that the resource lacks',
        () => ({ resources: [{ resource: things.resource.id, scope: 'tickets:burn' }] }),
        422,
        'resources[0].scope',
      ],
      [
        'a bound that is of the wrong type',
        () => payments({ currency: 7 }),
        422,
        'resources[0].authorization_details[0].currency',
      ],
      [
        'a bound with a member that no detail has',
        () => payments({ colour: 'red' }),
        422,
        'resources[0].authorization_details[0].colour',
      ],
      ['an address that is none', () => ({ context: { ip: ['here'] } }), 400, 'context.ip'],
      ['a task that says nothing', () => ({ task: {} }), 400, 'task'],
      ['a task that never was', () => ({ task: { id: never('tsk') } }), 422, 'task.id'],
      ['no uses', () => ({ limits: { uses: 0 } }), 400, 'limits.uses'],
      [
        'an amount of a type that it doesn’t name',
        () => ({ limits: { amounts: [{ type: 'payment', amount: '/amount', total: 1 }] } }),
        422,
        'limits.amounts[0].type',
      ],
      [
        'seven decimals',
        () => ({ ...payments(), limits: { amounts: [{ type: 'payment', amount: '/amount', total: 0.000_000_1 }] } }),
        400,
        'limits.amounts[0].total',
      ],
      [
        'an amount that is nowhere',
        () => ({ ...payments(), limits: { amounts: [{ type: 'payment', amount: 'amount', total: 1 }] } }),
        400,
        'limits.amounts[0].amount',
      ],
      [
        'one amount limited twice',
        () => ({
          ...payments(),
          limits: { amounts: [1, 2].map((total) => ({ type: 'payment', amount: '/amount', total })) },
        }),
        400,
        'limits.amounts',
      ],
      ['passed on five times over', () => ({ passing: { depth: 5 } }), 400, 'passing.depth'],
      ['to an agent elsewhere', () => ({ passing: { depth: 1, to: [elsewhere.agent.id] } }), 422, 'passing.to[0]'],
      ['a way that is only an agent’s', () => ({ given: { way: 'passed_on' } }), 400, 'given.way'],
      ['by somebody else', () => ({ given: { by: things.agent.id } }), 400, 'given.by'],
      ['a language that is none', () => ({ given: { language: 'English, please' } }), 400, 'given.language'],
      ['no end', () => ({ expires_in: undefined }), 422, 'expires_at'],
      ['two ends', () => ({ expires_at: '2026-12-01T00:00:00Z' }), 422, 'expires_at'],
      ['an end that is past', () => ({ expires_in: undefined, expires_at: '2020-01-01T00:00:00Z' }), 422, 'expires_at'],
      ['an end in two years', () => ({ expires_in: undefined, expires_at: '2028-11-01T00:00:00Z' }), 422, 'expires_at'],
      ['a member that nobody knows', () => ({ scopes: 'tickets:read' }), 400, 'scopes'],
    ];
    for (const [what, more, status, field] of rejections) {
      test(`refused: ${what}`, async () => {
        const reply = await operator.call('POST', '/mandates', wanted(more()));
        assert.equal(reply.status, status, reply.text);
        assert.ok(
          reply.body.errors.some((each: { field: string }) => each.field === field),
          reply.text,
        );
      });
    }

    test('listed by person, agent, resource and status, page by page', async () => {
      const person = await operator.ok('POST', '/people', { name: 'Bo' });
      const ids: string[] = [];
      for (let i = 0; i < 3; i++) ids.push((await give({ person: person.id })).id);
      ids.push((await give({ person: person.id, ...payments() })).id);
      const list = async (query: string) => {
        const { items } = await operator.ok('GET', `/mandates?person=${person.id}&${query}`);
        return items.map(({ id }: { id: string }) => id);
      };
      assert.deepEqual(await list(''), ids);
      assert.deepEqual(await list(`agent=${things.agent.id}`), ids);
      assert.deepEqual(await list(`agent=${elsewhere.agent.id}`), []);
      assert.deepEqual(await list(`resource=${encodeURIComponent(bank)}`), ids.slice(3));
      assert.deepEqual(await list(`resource=${things.resource.id}&status=active`), ids.slice(0, 3));
      assert.deepEqual(await list('status=ended'), []);
      assert.deepEqual(await list(`parent=${ids[0]}`), []);
      const first = await operator.ok('GET', `/mandates?person=${person.id}&limit=3`);
      assert.equal(first.items.length, 3);
      const rest = await operator.ok('GET', `/mandates?person=${person.id}&limit=3&cursor=${first.next_cursor}`);
      assert.deepEqual(
        [...first.items, ...rest.items].map(({ id }) => id),
        ids,
      );
      assert.ok(!('next_cursor' in rest));
    });

    test('when its time is up, or its agent is suspended, it says so', async () => {
      const made = await give({ expires_in: 60 });
      await operator.ok('POST', `/agents/${things.agent.id}/suspend`, {});
      assert.deepEqual(await standing(made.id), ['stopped', things.agent.id]);
      const stopped = await operator.ok('GET', '/mandates?status=stopped');
      assert.ok(stopped.items.some(({ id }: { id: string }) => id === made.id));
      await operator.ok('POST', `/agents/${things.agent.id}/resume`);
      assert.deepEqual(await standing(made.id), ['active', undefined]);
      server.clock.advance(60_000);
      assert.deepEqual(await standing(made.id), ['expired', undefined]);
      const { items } = await operator.ok('GET', '/mandates?status=expired');
      assert.ok(items.some(({ id }: { id: string }) => id === made.id));
    });

    const standing = async (id: string) => {
      const { status, stopped_by } = await operator.ok('GET', `/mandates/${id}`);
      return [status, stopped_by];
    };
    const eventsOf = async (id: string): Promise<{ type: string; decided_on?: { changed?: { rev?: number } } }[]> =>
      (await operator.ok('GET', `/events?target=${id}`)).items.toReversed();

    test('paused, resumed and ended, each on record with the number of the revocation', async () => {
      const { id } = await give();
      const paused = await operator.ok('POST', `/mandates/${id}/pause`, { reason: 'on leave' });
      assert.equal(paused.status, 'paused');
      assert.deepEqual(await standing(id), ['paused', undefined]);
      assert.equal((await operator.ok('POST', `/mandates/${id}/pause`, {})).status, 'paused', 'again changes nothing');
      assert.equal((await operator.ok('POST', `/mandates/${id}/resume`)).status, 'active');
      assert.equal((await operator.ok('POST', `/mandates/${id}/resume`)).status, 'active', 'again changes nothing');
      const ended = await operator.ok('POST', `/mandates/${id}/end`, { reason: 'over' });
      assert.equal(ended.status, 'ended');
      assert.equal(ended.ended_at, new Date(server.clock.now()).toISOString());
      assert.equal((await operator.ok('POST', `/mandates/${id}/end`, {})).status, 'ended', 'again changes nothing');
      for (const [path, body] of [
        ['pause', {}],
        ['resume', undefined],
      ] as const) {
        const reply = await operator.call('POST', `/mandates/${id}/${path}`, body);
        assert.equal(reply.status, 409, reply.text);
      }
      assert.equal((await operator.call('PATCH', `/mandates/${id}`, { limits: { uses: 1 } })).status, 409);
      const events = await eventsOf(id);
      const [refused, told] = [events.slice(4), events.slice(0, 4)].map((some) => some.map(({ type }) => type));
      assert.deepEqual(told, ['mandate.given', 'mandate.paused', 'mandate.resumed', 'mandate.ended']);
      assert.deepEqual(refused, Array(3).fill('admin.refused'));
      for (const at of [1, 3]) {
        const { rev } = events[at]?.decided_on?.changed ?? {};
        const shown = await operator.ok('GET', `/revocations/${rev}`);
        assert.deepEqual([shown.kind, shown.subject, shown.agent], ['mandate', id, things.agent.id]);
      }
    });

    test('revoked like everything else: suspended by default, with what it reaches', async () => {
      const { id } = await give();
      const reach = await operator.ok('GET', `/revocations/reach?subject=${id}`);
      assert.deepEqual([reach.kind, reach.effect, reach.mandates], ['mandate', 'suspend', 1]);
      assert.deepEqual(reach.agents.names, ['desk']);
      const revoked = await operator.ok('POST', '/revocations', { subject: id, reason: 'a test' });
      assert.equal(revoked.effect, 'suspend');
      assert.deepEqual(await standing(id), ['paused', undefined]);
      await operator.ok('POST', `/mandates/${id}/resume`);
      const narrowed = await operator.ok('POST', '/revocations', { subject: id, effect: 'tokens', reason: 'a test' });
      assert.ok(narrowed.rev > revoked.rev);
      assert.deepEqual(await standing(id), ['active', undefined]);
      await operator.ok('POST', '/revocations', { kind: 'mandate', subject: id, effect: 'end', reason: 'a test' });
      assert.deepEqual(await standing(id), ['ended', undefined]);
      const again = await operator.ok('POST', '/revocations', { subject: id, effect: 'end', reason: 'a test' });
      assert.equal(again.already, true);
    });

    test('how many mandates hang on an agent or a person', async () => {
      const person = await operator.ok('POST', '/people', { name: 'Cy' });
      const agent = await operator.ok('POST', '/agents', {
        name: 'courier',
        kind: 'ai_agent',
        owner: things.team.id,
        resources: [{ resource: things.resource.id }],
      });
      const ids: string[] = [];
      for (let i = 0; i < 3; i++) ids.push((await give({ person: person.id, agent: agent.id })).id);
      await operator.ok('POST', `/mandates/${ids[0]}/end`, {});
      const of = async (query: string) => (await operator.ok('GET', `/revocations/reach?${query}`)).mandates;
      assert.equal(await of(`subject=${agent.id}`), 2);
      assert.equal(await of(`subject=${person.id}`), 2);
      assert.equal(await of(`subject=${things.team.id}&kind=team`), 2, 'by the agents that it answers for');
    });

    test('narrowed in every dimension: what is left is within what was, and on record', async () => {
      const { id } = await give({
        resources: [
          { resource: things.resource.id, scope: 'tickets:read tickets:write' },
          { resource: bank, authorization_details: [{ type: 'payment', amount: 100 }] },
        ],
        context: { ip: ['10.0.0.0/8'] },
        limits: { amounts: [{ type: 'payment', amount: '/amount', total: 500 }] },
        passing: { depth: 2 },
      });
      const less = {
        resources: [
          { resource: things.resource.identifier, scope: 'tickets:read' },
          { resource: bank, authorization_details: [{ type: 'payment', amount: 50, currency: 'EUR' }] },
        ],
        context: { ip: ['10.1.0.0/16'], country: ['DE'] },
        task: { workflow: 'travel' },
        limits: { uses: 3, amounts: [{ type: 'payment', amount: '/amount', total: 200 }] },
        passing: { depth: 1, to: [things.agent.id] },
        expires_at: new Date(server.clock.now() + 3_600_000).toISOString(),
      };
      const reply = await operator.call('PATCH', `/mandates/${id}`, less);
      assert.equal(reply.status, 200, reply.text);
      const { resources, context, task, limits, passing, expires_at, ledger } = reply.body;
      assert.deepEqual({ resources, context, task, limits, passing, expires_at }, less);
      assert.deepEqual(ledger, [
        { counter: 'amount:0', spent: 0, most: 200 },
        { counter: 'uses', spent: 0, most: 3 },
      ]);
      assert.deepEqual(await operator.ok('GET', `/mandates/${id}`), reply.body);
      const [, narrowed, ...none] = await eventsOf(id);
      assert.deepEqual([narrowed?.type, none], ['mandate.narrowed', []]);
      const shown = await operator.ok('GET', `/revocations/${narrowed?.decided_on?.changed?.rev}`);
      assert.deepEqual([shown.kind, shown.subject, shown.effect], ['mandate', id, 'tokens']);
      // the same again takes nothing away
      assert.equal((await operator.call('PATCH', `/mandates/${id}`, less)).status, 200);
      assert.equal((await eventsOf(id)).length, 2);
      const stale = await operator.call('PATCH', `/mandates/${id}`, { passing: { depth: 0 } }, { 'if-match': '"old"' });
      assert.equal(stale.status, 412);
      server.clock.advance(3_600_000);
      assert.deepEqual(await standing(id), ['expired', undefined]);
    });

    const widenings: [what: string, patch: () => object, field: string][] = [
      [
        'another scope',
        () => ({ resources: [{ resource: things.resource.id, scope: 'tickets:read tickets:write' }] }),
        'resources',
      ],
      ['another resource', () => payments(), 'resources'],
      ['a wider network', () => ({ context: { ip: ['10.0.0.0/7'] } }), 'context'],
      ['no network', () => ({ context: { ip: null } }), 'context'],
      ['another task', () => ({ task: { workflow: 'shopping' } }), 'task'],
      ['any task', () => ({ task: null }), 'task'],
      ['more uses', () => ({ limits: { uses: 21 } }), 'limits'],
      ['as many uses as one likes', () => ({ limits: null }), 'limits'],
      ['deeper', () => ({ passing: { depth: 3 } }), 'passing'],
      ['to somebody else', () => ({ passing: { depth: 1, to: [server.operator.client_id] } }), 'passing'],
      ['to anybody', () => ({ passing: { to: null } }), 'passing'],
      ['longer', () => ({ expires_at: '2027-01-01T00:00:00Z' }), 'expires_at'],
    ];
    for (const [what, patch, field] of widenings) {
      test(`not widened: ${what}`, async () => {
        const { id } = await give({
          context: { ip: ['10.0.0.0/8'] },
          task: { workflow: 'travel' },
          limits: { uses: 20 },
          passing: { depth: 2, to: [things.agent.id] },
        });
        const reply = await operator.call('PATCH', `/mandates/${id}`, patch());
        assert.equal(reply.status, 422, reply.text);
        assert.equal(reply.body.errors[0].field, field, reply.text);
        assert.match(reply.body.errors[0].message, /give a new mandate/);
        assert.deepEqual(
          (await eventsOf(id)).map(({ type }) => type),
          ['mandate.given', 'admin.refused'],
        );
      });
    }

    test('null is what is there by default: not to be passed on', async () => {
      const { id } = await give({ passing: { depth: 3 } });
      assert.deepEqual((await operator.ok('PATCH', `/mandates/${id}`, { passing: null })).passing, { depth: 0 });
      for (const member of ['resources', 'expires_at']) {
        assert.equal((await operator.call('PATCH', `/mandates/${id}`, { [member]: null })).status, 400);
      }
    });

    test('what an amount counts stays what it is', async () => {
      const eur = { type: 'payment', amount: '/amount', unit: { at: '/currency', is: 'EUR' }, total: 100 };
      const count = { type: 'payment', amount: '/count', total: 7 };
      const { id } = await give({ ...payments(), limits: { amounts: [eur, count] } });
      for (const amounts of [
        [eur],
        [{ ...eur, total: 101 }, count],
        [{ ...eur, unit: { at: '/currency', is: 'USD' } }, count],
        [{ type: 'payment', amount: '/amount', total: 100 }, count],
      ]) {
        const reply = await operator.call('PATCH', `/mandates/${id}`, { limits: { amounts } });
        assert.equal(reply.status, 422, `${JSON.stringify(amounts)}: ${reply.text}`);
      }
      const more = { type: 'payment', amount: '/fee', total: 1 };
      const turned = [more, { ...count, total: 5 }, eur];
      const { limits, ledger } = await operator.ok('PATCH', `/mandates/${id}`, { limits: { amounts: turned } });
      assert.deepEqual(limits.amounts, [eur, { ...count, total: 5 }, more], 'in the order in which they are counted');
      assert.deepEqual(
        ledger.map(({ most }: { most: number }) => most),
        [100, 5, 1],
      );
    });

    test('erasing a person ends their mandates, and what they saw is gone', async () => {
      const person = await operator.ok('POST', '/people', { name: 'Di' });
      const given = { way: 'consent', text: 'May desk read your tickets, Di?', language: 'en' };
      const { id } = await give({
        ...{ person: person.id, given, context: { ip: ['192.0.2.7'] } },
        ...payments({ to: 'account of Di' }),
        limits: { uses: 77, amounts: [{ type: 'payment', amount: '/amount', total: 100 }] },
      });
      await operator.ok('POST', `/mandates/${id}/pause`, { reason: 'Di asked for it' });
      await operator.ok('DELETE', `/people/${person.id}`);
      const shown = await operator.ok('GET', `/mandates/${id}`);
      assert.equal(shown.status, 'ended');
      assert.deepEqual(shown.given, { way: 'consent', by: operator.clientId });
      assert.deepEqual(shown.resources, [{ resource: bank }]);
      assert.deepEqual([shown.context, shown.limits, shown.ledger], [undefined, undefined, []]);
      const row = await server.deps.db.get('select * from mandates where id = ?', [id]);
      assert.doesNotMatch(JSON.stringify(row), /of Di|192\.0\.2\.7|uses/);
      assert.deepEqual(await server.deps.db.all('select * from mandate_ledger where mandate = ?', [id]), []);
      const { items } = await operator.ok('GET', `/events?target=${id}`);
      assert.deepEqual(
        items.map(({ type }: { type: string }) => type),
        ['mandate.ended', 'mandate.paused', 'mandate.given'],
      );
      for (const each of items) assert.ok(!JSON.stringify(each).includes(person.id), each.type);
      assert.ok(!JSON.stringify(items).includes('Di '));
      assert.deepEqual((await operator.ok('GET', `/events?person=${person.id}`)).items, []);
      assert.equal((await operator.call('POST', '/mandates', wanted({ person: person.id }))).status, 422);
    });

    test('what ended is listed for a while, and then forgotten with what was counted', async () => {
      const { id } = await give({ limits: { uses: 2 }, expires_in: 60 });
      const ended = (await give({ limits: { uses: 2 } })).id;
      const living = (await give()).id;
      await operator.ok('POST', `/mandates/${ended}/end`, {});
      server.clock.advance(3_600_000);
      await tidy(server.deps);
      assert.deepEqual(await standing(id), ['expired', undefined]);
      server.clock.advance((server.deps.config.instances.keep_ended_seconds + 60) * 1000);
      await operator.ok('PATCH', `/agents/${things.agent.id}`, { purpose: 'to be of the newest version' });
      const kept = await give();
      await tidy(server.deps);
      assert.equal((await operator.call('GET', `/mandates/${id}`)).status, 404);
      assert.equal((await operator.call('GET', `/mandates/${ended}`)).status, 404);
      assert.equal((await operator.call('GET', `/mandates/${kept.id}`)).status, 200);
      const left = (table: string) =>
        server.deps.db.all(`select * from ${table} where ${table === 'subjects' ? 'id' : 'mandate'} in (?, ?)`, [
          id,
          ended,
        ]);
      assert.deepEqual([await left('mandate_ledger'), await left('subjects')], [[], []]);
      assert.ok(living);
    });

    test('an administrator sees and gives within one organization, an owner sees those of their agents', async () => {
      const made = await give();
      const other = await administrator(server, operator, {
        scopes: ['mandates:read', 'mandates:write'],
        organization: 'elsewhere',
      });
      assert.equal((await other.call('GET', `/mandates/${made.id}`)).status, 404);
      const theirs = await other.ok('GET', '/mandates');
      assert.deepEqual(
        theirs.items.map(({ id }: { id: string }) => id),
        [elsewhere.mandate.id],
      );
      assert.equal((await other.call('POST', '/mandates', wanted())).status, 422);
      const reader = await administrator(server, operator, { scopes: ['mandates:read'] });
      assert.equal((await reader.call('POST', '/mandates', wanted())).status, 403);
      assert.equal((await reader.call('GET', `/mandates/${made.id}`)).status, 200);
      const owner = await administrator(server, operator, { scopes: ['mandates:own'] });
      assert.equal((await owner.call('GET', `/mandates/${made.id}`)).status, 404);
      assert.deepEqual((await owner.ok('GET', '/mandates')).items, []);
      await operator.ok('PATCH', `/agents/${owner.agent}`, { owner: things.person.id });
      assert.equal((await owner.ok('GET', `/mandates/${made.id}`)).id, made.id);
      assert.ok((await owner.ok('GET', '/mandates')).items.length > 0);
      assert.equal((await owner.call('POST', '/mandates', wanted())).status, 403);
    });
  });
}
