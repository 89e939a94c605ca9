/** Questions about agents of ours at what is registered here: registry, token, roles, then policies. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { evaluator, guardClient, type PdpClient, writePolicy } from '../testing/pdp-client.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const access = { name: 'access' };

for (const database of databases) {
  describe(`agents at the decision point, on ${database}`, () => {
    let server: TestServer;
    let pep: PdpClient;
    let client: TokenClient;
    let name: string;

    const agent = (id = client.clientId) => ({ type: 'agent', id });
    const operation = (id = `${client.identifier}#read`) => ({ type: 'operation', id });
    const mayRead = () => ({ subject: agent(), action: access, resource: operation() });
    const tokenOf = async (of = client, parameters = {}) => {
      const { status, body } = await of.send(parameters);
      assert.equal(status, 200, JSON.stringify(body));
      return body.access_token as string;
    };
    const eventOf = async (id: string) => {
      const { items } = await server.admin<{ items: { id: string }[] }>(
        'GET',
        '/events?type=access.evaluated&limit=200',
      );
      const event = items.find((each) => each.id === id);
      assert.ok(event, `${id} is in the log`);
      return event as unknown as Record<string, never>;
    };

    before(async () => {
      server = await startServer({ database });
      pep = await evaluator(server);
      client = await tokenClient(server);
      name = (await server.admin<{ name: string }>('GET', `/agents/${client.clientId}`)).name;
    });
    after(() => server.close());

    test('an agent is known by its id, its name and its SPIFFE ID', async () => {
      const { trust_domain: domain } = server.deps.config;
      for (const id of [client.clientId, name, `spiffe://${domain}/default/${name}`]) {
        assert.equal((await pep.decide({ ...mayRead(), subject: agent(id) })).decision, true, id);
      }
    });

    test('an operation is named by itself, or by its API and the action', async () => {
      for (const [resource, action] of [
        [operation(), 'access'],
        [operation(), 'read'],
        [{ type: 'api', id: client.identifier }, 'read'],
        [{ type: 'api', id: client.identifier }, 'access'],
      ] as const) {
        const { decision } = await pep.decide({ subject: agent(), action: { name: action }, resource });
        assert.equal(decision, true, `${resource.type} ${action}`);
      }
    });

    describe('no', () => {
      for (const [what, question] of [
        ['an agent that nobody registered', () => ({ ...mayRead(), subject: agent('agt_01jd7x0000000000000000000x') })],
        ['a name that nobody has', () => ({ ...mayRead(), subject: agent('nobody') })],
        [
          'a SPIFFE ID of another trust domain',
          () => ({ ...mayRead(), subject: agent(`spiffe://elsewhere/default/${name}`) }),
        ],
        [
          'a SPIFFE ID of another organization',
          () => ({ ...mayRead(), subject: agent(`spiffe://localhost/other/${name}`) }),
        ],
        [
          'a SPIFFE ID of an instance that isn’t there',
          () => ({ ...mayRead(), subject: agent(`spiffe://localhost/default/${name}/ins_1`) }),
        ],
        ['what is no SPIFFE ID', () => ({ ...mayRead(), subject: agent('spiffe://localhost/../x') })],
        [
          'a resource that nobody registered',
          () => ({ ...mayRead(), resource: operation('https://nowhere.example#read') }),
        ],
        ['an operation that isn’t listed', () => ({ ...mayRead(), resource: operation(`${client.identifier}#write`) })],
        ['an operation without a name', () => ({ ...mayRead(), resource: operation(client.identifier) })],
        [
          'a tool that is an operation',
          () => ({ ...mayRead(), resource: { type: 'tool', id: `${client.identifier}#read` } }),
        ],
        ['an action that isn’t listed', () => ({ ...mayRead(), action: { name: 'purge' } })],
        [
          'an action of an API that isn’t listed',
          () => ({ ...mayRead(), action: { name: 'purge' }, resource: { type: 'api', id: client.identifier } }),
        ],
        ['the admin API', () => ({ ...mayRead(), resource: { type: 'api', id: `${server.issuer}/admin` } })],
        [
          'somebody who is no agent, at what is registered',
          () => ({ ...mayRead(), subject: { type: 'user', id: 'alice' } }),
        ],
        [
          'an agent at something of which no policy speaks',
          () => ({ ...mayRead(), resource: { type: 'record', id: '1' } }),
        ],
        ['a token that is none', () => ({ ...mayRead(), context: { access_token: 'a.b.c' } })],
      ] as const) {
        test(what, async () => {
          const { decision, context } = await pep.decide(question());
          assert.equal(decision, false);
          const event = (await eventOf(context.id)) as unknown as { type: string; outcome: string };
          assert.deepEqual([event.type, event.outcome], ['access.evaluated', 'refused']);
        });
      }
    });

    test('who isn’t there and who may not are told apart by the log alone', async () => {
      const other = await tokenClient(server);
      const answers = await Promise.all(
        ['nobody', other.clientId].map((id) => pep.decide({ ...mayRead(), subject: agent(id) })),
      );
      for (const { context } of answers) assert.deepEqual(Object.keys(context), ['id']);
      const [unknown, powerless] = await Promise.all(answers.map(({ context }) => eventOf(context.id)));
      assert.match(JSON.stringify(unknown), /no such agent/);
      assert.match(JSON.stringify(powerless), /was not given this resource/);
    });

    test('what ends bites with the next question: the role, the agent, the resource', async () => {
      const other = await tokenClient(server);
      const question = {
        subject: agent(other.clientId),
        action: access,
        resource: operation(`${other.identifier}#read`),
      };
      const decided = async () => (await pep.decide(question)).decision;
      assert.equal(await decided(), true);
      await server.admin('DELETE', `/agents/${other.clientId}/roles/${other.role}`);
      assert.equal(await decided(), false, 'without the role');
      await server.admin('PUT', `/agents/${other.clientId}/roles/${other.role}`);
      assert.equal(await decided(), true);
      await server.admin('POST', `/agents/${other.clientId}/suspend`, { reason: 'a test' });
      assert.equal(await decided(), false, 'suspended');
      await server.admin('POST', `/agents/${other.clientId}/resume`);
      assert.equal(await decided(), true);
      await server.admin('POST', `/resources/${other.resource}/retire`, { reason: 'a test' });
      assert.equal(await decided(), false, 'a resource that is no more');
    });

    test('what a role gives on a resource that the agent was not given is nothing', async () => {
      const other = await tokenClient(server);
      const question = {
        subject: agent(other.clientId),
        action: access,
        resource: operation(`${other.identifier}#read`),
      };
      assert.equal((await pep.decide(question)).decision, true);
      await server.admin('PATCH', `/agents/${other.clientId}`, { resources: [] });
      assert.equal((await pep.decide(question)).decision, false);
    });

    test('an agent whose tokens may be used from some addresses alone is held to that where there is no token, too', async () => {
      const bound = await tokenClient(server, { agent: { context: { ip: ['10.0.0.0/8'] } } });
      const asked = async (context: object) =>
        (
          await pep.decide({
            subject: agent(bound.clientId),
            action: access,
            resource: operation(`${bound.identifier}#read`),
            context,
          })
        ).decision;
      assert.equal(await asked({ presenter_address: '10.9.8.7' }), true);
      assert.equal(await asked({ presenter_address: '11.9.8.7' }), false);
      assert.equal(await asked({}), false);
    });

    test('an agent whose time is up may nothing', async () => {
      const expires_at = new Date(server.clock.now() + 60_000).toISOString();
      const other = await tokenClient(server, { agent: { expires_at } });
      const question = {
        subject: agent(other.clientId),
        action: access,
        resource: operation(`${other.identifier}#read`),
      };
      assert.equal((await pep.decide(question)).decision, true);
      server.clock.advance(60_000);
      assert.equal((await pep.decide(question)).decision, false);
    });

    // tokens

    test('a token is verified here: of this agent, for this resource, alive, and carrying the operation', async () => {
      const token = await tokenOf();
      const asked = (access_token: string, more = {}) =>
        pep.decide({ ...mayRead(), ...more, context: { access_token } });
      assert.equal((await asked(token)).decision, true);
      const other = await tokenClient(server);
      for (const [what, answer] of [
        ['of another agent', await asked(await tokenOf(other))],
        ['of nobody', await asked(`${token.slice(0, -6)}AAAAAA`)],
      ] as const) {
        assert.equal(answer.decision, false, what);
        assert.equal(answer.context.error.status, 401, what);
      }
      const writing = await tokenOf(client, { scope: 'tickets:write' });
      const uncarried = await asked(writing);
      assert.deepEqual([uncarried.decision, uncarried.context.error], [false, undefined], 'alive, but not for this');
    });

    test('a token that was revoked is dead at the next question, and so is one that ran out', async () => {
      const token = await tokenOf();
      const asked = () => pep.decide({ ...mayRead(), context: { access_token: token } });
      assert.equal((await asked()).decision, true);
      const form = new URLSearchParams({ ...(await client.form()), token });
      assert.equal((await fetch(`${server.issuer}/oauth2/revoke`, { method: 'POST', body: form })).status, 200);
      const { decision, context } = await asked();
      assert.deepEqual([decision, context.error.status], [false, 401]);
      const second = await tokenOf();
      server.clock.advance(11 * 60_000);
      assert.equal((await pep.decide({ ...mayRead(), context: { access_token: second } })).context.error.status, 401);
    });

    test('a token that may be used from some addresses alone is held against the one that is told', async () => {
      const bound = await tokenClient(server, { agent: { context: { ip: ['127.0.0.0/8', '::1'] } } });
      const access_token = await tokenOf(bound);
      const question = (context: object) => ({
        subject: agent(bound.clientId),
        action: access,
        resource: operation(`${bound.identifier}#read`),
        context: { access_token, ...context },
      });
      assert.equal((await pep.decide(question({ presenter_address: '127.0.0.9' }))).decision, true);
      assert.equal((await pep.decide(question({ presenter_address: '::ffff:127.0.0.9' }))).decision, true);
      assert.equal((await pep.decide(question({ presenter_address: '198.51.100.7' }))).decision, false);
      assert.equal((await pep.decide(question({}))).decision, false, 'nobody says where it was presented');
    });

    test('a task that has ended takes its tokens along; while it is open, policies see it', async () => {
      const orchestrator = await orchestratorClient(server);
      await writePolicy(
        server,
        `@id("in-billing") @reason("Reading is part of billing.") @public
         forbid (principal, action == Action::"resource:access", resource in Api::"${client.identifier}")
         when { context has task && context.task has workflow && context.task.workflow == "gardening" };`,
      );
      const asked = async (access_token: string) => pep.decide({ ...mayRead(), context: { access_token } });
      const gardening = await orchestrator.open(client.clientId, { workflow: 'gardening' });
      const refused = await asked(await tokenOf(client, { task: gardening.id }));
      assert.equal(refused.decision, false);
      assert.deepEqual(refused.context.reasons, ['Reading is part of billing.']);
      const billing = await orchestrator.open(client.clientId);
      const token = await tokenOf(client, { task: billing.id });
      assert.equal((await asked(token)).decision, true);
      assert.equal((await orchestrator.call('DELETE', `/tasks/${billing.id}`)).status, 204);
      assert.equal((await asked(token)).context.error.status, 401);
    });

    test('a running copy is known by its SPIFFE ID: as long as it lives, and as far as its parent let it', async () => {
      const other = await tokenClient(server, { agent: { instances: { depth: 1 } } });
      const at = instanceClient(server, other);
      const asked = async (id: string, context = {}) =>
        pep.decide({ subject: agent(id), action: access, resource: operation(`${other.identifier}#read`), context });
      const parent = await at.instance();
      const id = String(parent.answer.spiffe_id);
      assert.equal((await asked(id)).decision, true);
      const able = await at.child(parent, { allowed: [{ resource: other.identifier, scope: 'tickets:read' }] });
      const unable = await at.child(parent, { allowed: [{ resource: other.identifier, scope: 'tickets:write' }] });
      assert.deepEqual(
        [(await asked(able.body.spiffe_id)).decision, (await asked(unable.body.spiffe_id)).decision],
        [true, false],
      );
      const { body } = await at.tokenOf(parent, { resource: other.identifier });
      assert.equal((await asked(id, { access_token: body.access_token })).decision, true);
      assert.equal((await asked(other.clientId, { access_token: body.access_token })).decision, true);
      assert.equal(
        (await asked(able.body.spiffe_id, { access_token: body.access_token })).decision,
        false,
        'another’s',
      );
      await at.call(parent, 'DELETE');
      assert.deepEqual([(await asked(id)).decision, (await asked(able.body.spiffe_id)).decision], [false, false]);
      assert.equal((await asked(other.clientId, { access_token: body.access_token })).context.error.status, 401);
    });

    // policies

    test('a policy on a scope holds for whatever takes that scope, with a token and without one', async () => {
      const other = await tokenClient(server);
      const asked = async (id: string, context = {}) =>
        (
          await pep.decide({
            subject: agent(other.clientId),
            action: access,
            resource: id.includes('#') ? operation(id) : { type: 'api', id },
            context,
          })
        ).decision;
      const details = JSON.stringify([{ type: 'operation', actions: ['read'] }]);
      const named = await tokenOf(other, { authorization_details: details });
      const scoped = await tokenOf(other);
      const all = async () => [
        await asked(`${other.identifier}#read`),
        await asked(other.identifier),
        await asked(`${other.identifier}#read`, { access_token: named }),
        await asked(`${other.identifier}#read`, { access_token: scoped }),
      ];
      assert.deepEqual(await all(), [true, true, true, true]);
      const forbid = (when: string) =>
        `@id("no") forbid (principal, action == Action::"resource:access", resource in Api::"${other.identifier}") ${when};`;
      const id = await writePolicy(server, forbid('when { context.scope.contains("tickets:read") }'));
      assert.deepEqual(await all(), [false, false, false, false]);
      const text = forbid('unless { ["tickets:write"].containsAll(context.scope) }');
      await server.admin('PATCH', `/policies/${id}`, { text, reason: 'a test' });
      assert.deepEqual(await all(), [false, false, false, false]);
    });

    test('an address counts as observed where a guard sends a token along, and as told wherever else', async () => {
      const other = await tokenClient(server);
      const guard = await guardClient(server, other.resource);
      await writePolicy(
        server,
        `@id("seen") forbid (principal, action == Action::"resource:access", resource in Api::"${other.identifier}")
         unless { context has address && context.address_provenance == "observed" };`,
      );
      const access_token = await tokenOf(other);
      const presenter_address = '203.0.113.9';
      const question = {
        subject: agent(other.clientId),
        action: access,
        resource: operation(`${other.identifier}#read`),
      };
      for (const [who, context, decision] of [
        [guard, { access_token, presenter_address }, true],
        [guard, { presenter_address }, false],
        [guard, { access_token }, false],
        [pep, { access_token, presenter_address }, false],
        [pep, { presenter_address }, false],
      ] as const) {
        const answer = await who.decide({ ...question, context });
        assert.equal(answer.decision, decision, `${who === guard ? 'guard' : 'other'} ${Object.keys(context)}`);
        const { address_provenance } = JSON.parse(JSON.stringify(await eventOf(answer.context.id))).decided_on
          .policy_input;
        assert.equal(address_provenance, who === guard && 'access_token' in context ? undefined : 'told');
      }
    });

    test('what an operation takes of details is asked for with it', async () => {
      const other = await tokenClient(server);
      await server.admin('PATCH', `/resources/${other.resource}`, {
        details_types: [{ type: 'ticket', schema: { type: 'object', properties: { type: { const: 'ticket' } } } }],
        operations: [
          { name: 'read', method: 'GET', path: '/{id}', scope: ['tickets:read'], details: { type: 'ticket' } },
        ],
      });
      await server.admin('PATCH', `/roles/${other.role}`, {
        permissions: [{ resource: other.resource, scopes: ['tickets:read'], details: [{ type: 'ticket' }] }],
      });
      const asked = async () =>
        pep.decide({ subject: agent(other.clientId), action: access, resource: operation(`${other.identifier}#read`) });
      const details = JSON.stringify([{ type: 'operation', actions: ['read'] }]);
      assert.equal((await asked()).decision, true);
      await writePolicy(
        server,
        `@id("no") forbid (principal, action, resource in Api::"${other.identifier}") when { context.details.contains("ticket") };`,
      );
      assert.equal((await asked()).decision, false);
      assert.equal((await other.send({ authorization_details: details })).body.error, 'access_denied');
      assert.equal((await other.send({ scope: 'tickets:read' })).status, 200, 'by itself the scope reaches nothing');
    });

    test('a changed policy bites at once: no with its public words, not yet with what it takes', async () => {
      const other = await tokenClient(server);
      const question = {
        subject: agent(other.clientId),
        action: access,
        resource: operation(`${other.identifier}#read`),
      };
      assert.equal((await pep.decide(question)).decision, true);
      const forbid = (annotations: string) => `@id("closed") ${annotations}
        forbid (principal, action == Action::"resource:access", resource == Operation::"${other.identifier}#read");`;
      const id = await writePolicy(server, forbid('@reason("Closed for the night.") @public'));
      const change = (body: object) => server.admin('PATCH', `/policies/${id}`, { ...body, reason: 'a test' });
      const closed = await pep.decide(question);
      assert.deepEqual(
        [closed.decision, closed.context.reason_user, closed.context.reasons],
        [false, { '403': 'Closed for the night.' }, ['Closed for the night.']],
      );
      await change({ text: forbid('@reason("The night shift is ill.")') });
      const silent = await pep.decide(question);
      assert.deepEqual([silent.decision, Object.keys(silent.context)], [false, ['id']], 'a reason that isn’t public');
      await change({ text: forbid('@step_up("fresh_proof 60")') });
      const notYet = await pep.decide(question);
      assert.deepEqual([notYet.decision, notYet.context.requirements], [false, [{ type: 'fresh_proof', max_age: 60 }]]);
      await change({ mode: 'observe' });
      const observed = await pep.decide(question);
      assert.equal(observed.decision, true);
      const { decided_on } = JSON.parse(JSON.stringify(await eventOf(observed.context.id)));
      assert.deepEqual(
        [decided_on.observed.decision, decided_on.observed.requirements],
        ['step_up', [{ type: 'fresh_proof', max_age: 60 }]],
      );
    });

    test('a proof is as fresh as the token, and as old as can be where there is none', async () => {
      const other = await tokenClient(server);
      await writePolicy(
        server,
        `@id("fresh") @step_up("fresh_proof 60")
         forbid (principal, action == Action::"resource:access", resource == Operation::"${other.identifier}#read")
         when { context.proof_age > 60 };`,
      );
      const question = {
        subject: agent(other.clientId),
        action: access,
        resource: operation(`${other.identifier}#read`),
      };
      const asked = async (context: object) => (await pep.decide({ ...question, context })).decision;
      const access_token = await tokenOf(other);
      server.clock.advance(60_000);
      assert.equal(await asked({ access_token }), true);
      server.clock.advance(1000);
      assert.equal(await asked({ access_token }), false);
      assert.equal(await asked({ access_token: await tokenOf(other) }), true);
      assert.equal(await asked({}), false);
    });

    test('what the asking side claims is believed for nothing but what it is: a claim', async () => {
      const other = await tokenClient(server);
      const object = { type: 'claim', id: other.identifier };
      await writePolicy(
        server,
        `@id("as-orchestrated") permit (principal is Agent, action, resource == Object::"claim:${other.identifier}")
         when { context has task && context.task.provenance == "orchestrated" };
         @id("as-attested") permit (principal is Agent, action, resource == Object::"claim:${other.identifier}")
         when { principal.hasTag("zone") && principal.getTag("zone") == "eu-1" };
         @id("as-claimed") permit (principal is Agent, action, resource == Object::"claim:${other.identifier}")
         when { context.claimed.hasTag("subject.zone") && context.claimed.getTag("subject.zone") == "us-1" };`,
      );
      const asked = async (subject: object, context = {}) =>
        (
          await pep.decide({
            subject: { ...agent(other.clientId), ...subject },
            action: { name: 'x' },
            resource: object,
            context,
          })
        ).decision;
      assert.equal(await asked({}, { task: { id: 'tsk_1', workflow: 'w', provenance: 'orchestrated' } }), false);
      assert.equal(await asked({ properties: { zone: 'eu-1' } }), false);
      assert.equal(await asked({ properties: { zone: 'us-1' } }), true);
    });

    test('where a permit is limited to a place, access is limited to it too', async () => {
      const object = { type: 'limited', id: '1' };
      await writePolicy(
        server,
        `@id("office") @limit_ip("10.0.0.0/8") permit (principal is Agent, action, resource == Object::"limited:1");`,
      );
      const asked = async (context: object) =>
        (await pep.decide({ subject: agent(), action: { name: 'x' }, resource: object, context })).decision;
      assert.equal(await asked({ presenter_address: '10.1.2.3' }), true);
      assert.equal(await asked({ presenter_address: '192.0.2.1' }), false);
      assert.equal(await asked({}), false);
    });

    // guards

    test('a guard asks about agents at its own resource, and about nothing else', async () => {
      const guard = await guardClient(server, client.resource);
      const other = await tokenClient(server);
      assert.equal((await guard.decide(mayRead())).decision, true);
      for (const [what, question] of [
        ['another resource', { ...mayRead(), resource: operation(`${other.identifier}#read`) }],
        ['a resource that isn’t there', { ...mayRead(), resource: operation('https://nowhere.example#read') }],
        ['an object', { ...mayRead(), resource: { type: 'record', id: '1' } }],
        ['a person', { ...mayRead(), subject: { type: 'user', id: 'alice' } }],
      ] as const) {
        const { decision, context } = await guard.decide(question);
        assert.deepEqual([decision, context.error?.status], [false, 403], what);
      }
      assert.deepEqual(await guard.find('subject', { ...mayRead(), subject: { type: 'user' } }), []);
      assert.deepEqual(await guard.find('resource', { ...mayRead(), resource: { type: 'api' } }), [client.identifier]);
      assert.deepEqual(await guard.find('action', { subject: agent(), resource: { type: 'record', id: '1' } }), []);
      await server.admin('DELETE', `/guards/${guard.guard}`);
      assert.equal((await pep.decide(mayRead())).decision, true, 'others are none the worse');
    });

    test('one organization hears nothing of another', async () => {
      const { id: organization } = await server.admin<{ id: string }>('POST', '/organizations', {
        name: 'elsewhere',
      });
      const stranger = await evaluator(server, { organization });
      for (const question of [
        mayRead(),
        { ...mayRead(), subject: agent(name) },
        { ...mayRead(), subject: agent(`spiffe://${server.deps.config.trust_domain}/default/${name}`) },
        { ...mayRead(), context: { access_token: await tokenOf() } },
      ]) {
        const { decision, context } = await stranger.decide(question);
        assert.deepEqual([decision, Object.keys(context)], [false, ['id']]);
      }
      assert.deepEqual(await stranger.find('subject', { ...mayRead(), subject: { type: 'agent' } }), []);
      assert.deepEqual(await stranger.find('resource', { ...mayRead(), resource: { type: 'operation' } }), []);
    });
  });
}
