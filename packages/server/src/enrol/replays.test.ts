/** What is sent a second time: it is refused as such whatever else is wrong with it, and makes nobody write a line per packet. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { newSigner, type Reply } from '../testing/instance-client.ts';
import { newScene, type Scene } from '../testing/instance-refusals.ts';

/** Makes one proof, uses it, and answers a request that sends it again. */
type Spent = (scene: Scene) => Promise<() => Promise<Reply>>;

const tooLong = { lifetime_seconds: 7200 };

const byInstance =
  (method: string, below: string, good: unknown, wrong: unknown, status: number): Spent =>
  async ({ at }) => {
    const instance = await at.instance();
    const dpop = await at.proofBy(instance.signer, method, `${at.url}/${instance.id}${below}`);
    const send = (body: unknown) => at.call(instance, method, below, body, { dpop });
    assert.equal((await send(good)).status, status);
    return () => send(wrong);
  };

const asChild =
  (wrong: object): Spent =>
  async ({ at }) => {
    const parent = await at.instance();
    const to = `${at.url}/${parent.id}/children`;
    const dpop = await at.proofBy(parent.signer, 'POST', to);
    const send = async (more: object) =>
      at.call(
        parent,
        'POST',
        '/children',
        { name: 'a', proof: await at.proofBy(await newSigner(), 'POST', to), ...more },
        { dpop },
      );
    assert.equal((await send({})).status, 201);
    return () => send(wrong);
  };

/** Where the proof is all that was shown, nothing is on record. */
const unwritten: [string, Spent][] = [
  ['a renewal', byInstance('POST', '/renew', {}, {}, 200)],
  ['a renewal for too long', byInstance('POST', '/renew', {}, tooLong, 200)],
  [
    'a renewal with a token that no role gives',
    byInstance('POST', '/renew', {}, { token: { scope: 'tickets:delete' } }, 200),
  ],
  ['a renewal with a csr that is none', byInstance('POST', '/renew', {}, { csr: 'x' }, 200)],
  ['a renewal that was refused before', byInstance('POST', '/renew', tooLong, tooLong, 400)],
  ['a child', asChild({ name: 'b' })],
  ['a child of a name that is taken', asChild({})],
  ['a child for too long', asChild({ name: 'b', ...tooLong })],
  ['a child without a key', asChild({ name: 'b', proof: undefined })],
  ['a look', byInstance('GET', '', undefined, undefined, 200)],
  [
    'an end, with the jti of a look',
    async ({ at }) => {
      const instance = await at.instance();
      const to = `${at.url}/${instance.id}`;
      const once = { jti: 'once' };
      assert.equal((await at.call(instance, 'GET', '', undefined, { proof: once })).status, 200);
      const dpop = await at.proofBy(instance.signer, 'DELETE', to, once);
      return async () => {
        const reply = await at.call(instance, 'DELETE', '', undefined, { dpop });
        assert.equal((await at.call(instance, 'GET')).status, 200, 'it lives on');
        return reply;
      };
    },
  ],
];

/** Where somebody proved anew who it is, each time is on record. */
const written: [string, Spent][] = [
  ...[{}, tooLong, { token: { scope: 'tickets:delete' } }].map((wrong): [string, Spent] => [
    `an enrolment by the agent's key, with ${JSON.stringify(wrong)}`,
    async ({ at }) => {
      const dpop = await at.proofBy(await newSigner(), 'POST', at.url);
      assert.equal((await at.enrolByKey({ dpop })).status, 201);
      return () => at.enrolByKey({ dpop, body: wrong });
    },
  ]),
  [
    'a child’s proof beside a new one of its parent',
    async ({ at }) => {
      const parent = await at.instance();
      const proof = await at.proofBy(await newSigner(), 'POST', `${at.url}/${parent.id}/children`);
      assert.equal((await at.child(parent, { name: 'a', proof })).status, 201);
      return () => at.child(parent, { name: 'b', proof, ...tooLong });
    },
  ],
];

for (const database of databases) {
  describe(`a proof used before is refused as such, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    const refusalsOf = async ({ client }: Scene) =>
      (
        await server.admin<{ items: { reason: string }[] }>(
          'GET',
          `/events?agent=${client.clientId}&type=instance.refused&limit=200`,
        )
      ).items.map(({ reason }) => reason);

    const holds = async (spent: Spent, times: number) => {
      const scene = await newScene(server);
      const again = await spent(scene);
      const before = (await refusalsOf(scene)).length;
      for (let n = 0; n < 3; n++) {
        const { status, body } = await again();
        assert.deepEqual([status, body.error], [400, 'invalid_dpop_proof'], JSON.stringify(body));
      }
      const all = await refusalsOf(scene);
      assert.equal(all.length - before, times);
      if (times > 0) assert.deepEqual(new Set(all), new Set(['proof replayed']));
    };

    for (const [sentence, spent] of unwritten) test(`${sentence}: nobody writes it down`, () => holds(spent, 0));
    for (const [sentence, spent] of written) test(`${sentence}: on record`, () => holds(spent, 3));

    test('an assertion sent again beside something else that is wrong is nobody’s, and not written', async () => {
      const scene = await newScene(server);
      const body = { ...(await scene.at.assertion()), ...tooLong };
      assert.equal((await scene.at.enrol({ token: null, body })).body.error, 'invalid_request');
      for (let n = 0; n < 3; n++) {
        const reply = await scene.at.enrol({ token: null, body });
        assert.deepEqual([reply.status, reply.body.error], [401, 'invalid_client']);
      }
      assert.equal((await refusalsOf(scene)).length, 1);
    });
  });
}
