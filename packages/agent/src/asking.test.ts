/** The SDK and the real server: one agent asks, another grants; and who may act on a token in turn. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { type Delegates, delegates } from '../../server/src/testing/delegates.ts';
import { startServer, type TestServer } from '../../server/src/testing/harness.ts';
import { issuerScene } from '../../server/src/testing/issuer-scene.ts';
import { type Agent, type AgentOptions, createAgent, type Mandate } from './index.ts';

suite('asking and granting, with the real server', () => {
  let server: TestServer;
  let scene: Delegates;
  before(async () => {
    server = await startServer({ database: 'sqlite', config: { limits: { tokens_per_minute: 100_000 } } });
    scene = await delegates(server, 2);
  });
  after(() => server?.close());

  /** @param whileWaiting done in place of each pause */
  function agentAt(index: number, whileWaiting = async () => {}): Agent {
    const { client } = scene.agents[index] as Delegates['agents'][number];
    const options: AgentOptions = {
      issuer: server.issuer,
      clientId: client.clientId,
      key: client.signer,
      now: server.clock.now,
      sleep: whileWaiting,
    };
    return createAgent(options);
  }
  const give = () => scene.give(scene.agents[0] as Delegates['agents'][number]);
  const what = () => ({
    from: scene.agents[0]?.id as string,
    resource: scene.api.identifier,
    scope: ['read', 'book'],
    why: 'for the trip',
  });
  const claimsOf = (token: string) => parseCompact(token).payload;

  test('what is granted is less, is used, and is given up', async () => {
    const { id } = await give();
    const parent = agentAt(0);
    const asking = agentAt(1, async () => {
      const [request] = await parent.requests();
      if (request === undefined) return;
      assert.deepEqual([request.agent, request.why], [scene.agents[1]?.id, 'for the trip']);
      await request.grant({ mandate: id, scope: ['read'], lifetimeSeconds: 60 });
    });
    const granted: Mandate = await asking.ask(what());
    assert.deepEqual([granted.parent, granted.person], [id, scene.person]);
    assert.deepEqual(granted.resources, [{ resource: scene.api.identifier, scope: ['read'], details: [] }]);
    const token = await asking.onBehalfOf(granted).token({ resource: scene.api.identifier });
    const { sub, act } = claimsOf(token.dangerouslyExposeToken()) as { sub: string; act: { act: { sub: string } } };
    assert.equal(sub, scene.person);
    assert.ok(act.act.sub, 'whoever granted it stands in the chain');
    await asking.giveUp(granted);
    await assert.rejects(agentAt(1).onBehalfOf(granted).token({ resource: scene.api.identifier }), {
      code: 'invalid_request',
    });
    await asking.giveUp(granted);
  });

  test('what the parent has not got is refused in the name of its mandate, and refused by it then', async () => {
    const { id } = await scene.give(scene.agents[0] as Delegates['agents'][number], {
      resources: [{ resource: scene.api.identifier, scope: 'read' }],
    });
    const parent = agentAt(0);
    const asking = agentAt(1, async () => {
      const [request] = await parent.requests();
      assert.ok(request);
      await assert.rejects(request.grant({ mandate: id }), { message: new RegExp(`more than mandate ${id} allows`) });
      await request.refuse('only to look');
    });
    await assert.rejects(asking.ask(what()), { code: 'mandate_refused', message: /refused it: only to look$/ });
  });

  test('aborted, nobody can grant it any more', async () => {
    const control = new AbortController();
    const parent = agentAt(0);
    let seen = 0;
    const asking = agentAt(1, async () => {
      seen = (await parent.requests()).length;
      control.abort(new Error('enough'));
    });
    await assert.rejects(asking.ask({ ...what(), signal: control.signal }), { message: 'enough' });
    assert.equal(seen, 1);
    assert.deepEqual(await parent.requests(), []);
  });

  test('nobody answers: in time that is said', async () => {
    const asking = agentAt(1, async () => server.clock.advance(1_000));
    await assert.rejects(asking.ask({ ...what(), waitSeconds: 3 }), { code: 'mandate_unanswered' });
  });

  test('a token says who may act on it in turn, and that one does', async () => {
    const { id } = await give();
    const [first, second] = [agentAt(0), agentAt(1)];
    const resource = scene.api.identifier;
    const acting = first.onBehalfOf(id, { resource, scope: ['read'], mayAct: second.clientId });
    const token = (await acting.token()).dangerouslyExposeToken();
    const { may_act } = claimsOf(token) as { may_act: { sub: string } };
    assert.match(may_act.sub, /^spiffe:/);
    const next = (await second.onBehalfOf(token, { resource }).token()).dangerouslyExposeToken();
    const { act } = claimsOf(next) as { act: { sub: string } };
    assert.equal(act.sub, may_act.sub);
    const other = (await first.onBehalfOf(id, { resource, scope: ['read'] }).token()).dangerouslyExposeToken();
    assert.equal(claimsOf(other).may_act, undefined, 'another wish, another token');
    await assert.rejects(second.onBehalfOf(other, { resource }).token(), { code: 'invalid_request' });
  });

  test('a token of its own says who acts; one of another does not', async () => {
    const { id } = await give();
    const [first, second] = [agentAt(0), agentAt(1)];
    const resource = scene.api.identifier;
    const own = (await first.token({ resource, scope: ['read'] })).dangerouslyExposeToken();
    const foreign = (await second.token({ resource, scope: ['read'] })).dangerouslyExposeToken();
    const acting = first.onBehalfOf(id, { resource, scope: ['read'], actorToken: own });
    assert.equal(claimsOf((await acting.token()).dangerouslyExposeToken()).sub, scene.person);
    await assert.rejects(first.onBehalfOf(id, { resource, actorToken: foreign }).token(), {
      code: 'invalid_request',
      message: /actor_token is not of the client that asks/,
    });
    assert.throws(() => first.onBehalfOf(id, { actorToken: 'no token' }), { code: 'bad_option' });
  });
});

test('an ID token of an issuer that the real server trusts lets an agent act for whom it names', async () => {
  const of = await issuerScene('sqlite');
  try {
    const { server, agent } = of;
    const { clientId, signer: key } = agent;
    const acting = createAgent({ issuer: server.issuer, clientId, key, now: server.clock.now });
    const wishes = { resource: of.scene.api.identifier, scope: ['book'] };
    const token = await acting.onBehalfOf({ idToken: await of.idToken() }, wishes).token();
    const { sub, scope } = parseCompact(token.dangerouslyExposeToken()).payload;
    assert.deepEqual([sub, scope], [of.scene.person, 'book']);
    const foreign = { idToken: await of.idToken({ sub: 'nobody' }) };
    await assert.rejects(acting.onBehalfOf(foreign, wishes).token(), { code: 'invalid_request' });
  } finally {
    await of.close();
  }
});
