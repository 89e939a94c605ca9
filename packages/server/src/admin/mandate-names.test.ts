/** What mandates are called: so that a file that names one neither gives it twice nor revives it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { tidy } from '../jobs.ts';
import { type AdminClient, adminClient, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

const year = 360 * 86_400;

for (const database of databases) {
  describe(`names of mandates, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let things: Awaited<ReturnType<typeof populate>>;
    let there: Awaited<ReturnType<typeof populate>>;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      things = await populate(operator, 'default');
      await operator.ok('POST', '/organizations', { name: 'elsewhere' });
      there = await populate(operator, 'elsewhere');
    });
    after(() => server.close());

    const wanted = (name: string | undefined, more: object = {}) => ({
      person: things.person.id,
      agent: things.agent.id,
      name,
      resources: [{ resource: things.resource.identifier, scope: 'tickets:read' }],
      expires_in: year,
      ...more,
    });

    test('shown, listed apart, and in the log only under the key of the person', async () => {
      const made = await operator.ok('POST', '/mandates', wanted('tickets-of-a-year'));
      const unnamed = await operator.ok('POST', '/mandates', wanted(undefined));
      assert.equal(made.name, 'tickets-of-a-year');
      assert.equal((await operator.ok('GET', `/mandates/${made.id}`)).name, 'tickets-of-a-year');
      assert.ok(!('name' in unnamed));
      const { items } = await operator.ok('GET', '/mandates?named=true');
      assert.deepEqual(
        items.map(({ id }: { id: string }) => id),
        [made.id],
      );
      const [{ personal, ...open }] = (await operator.ok('GET', `/events?target=${made.id}`)).items;
      assert.equal(personal.details.name, 'tickets-of-a-year');
      assert.doesNotMatch(JSON.stringify(open), /tickets-of-a-year/);
      assert.equal((await operator.call('POST', '/mandates', wanted('No Slug'))).status, 400);
    });

    test('taken until its time is up, though it was ended before and would be forgotten', async () => {
      const { id } = await operator.ok('POST', '/mandates', wanted('once'));
      const taken = async () => {
        const { status, body } = await operator.call('POST', '/mandates', wanted('once'));
        return [status, body.errors?.[0].field];
      };
      assert.deepEqual(await taken(), [409, 'name']);
      await operator.ok('POST', `/mandates/${id}/end`, {});
      assert.deepEqual(await taken(), [409, 'name']);
      server.clock.advance((server.deps.config.instances.keep_ended_seconds + 7200) * 1000);
      await tidy(server.deps);
      assert.deepEqual(await taken(), [409, 'name']);
      assert.equal((await operator.ok('GET', `/mandates/${id}`)).status, 'ended');
      server.clock.advance(year * 1000);
      assert.notEqual((await operator.ok('POST', '/mandates', wanted('once'))).id, id);
    });

    test('ten given at once under one name: one of them is', async () => {
      const all = await Promise.all(
        Array.from({ length: 10 }, () => operator.call('POST', '/mandates', wanted('at-once'))),
      );
      assert.deepEqual(all.map(({ status }) => status).toSorted(), [201, ...Array(9).fill(409)]);
    });

    test('the same name in another organization is another, and erasing a person forgets it', async () => {
      const person = await operator.ok('POST', '/people', { name: 'Bo' });
      const { id } = await operator.ok('POST', '/mandates', wanted('for-bo', { person: person.id }));
      await operator.ok(
        ...(['POST', '/mandates?organization=elsewhere'] as const),
        wanted('for-bo', {
          person: there.person.id,
          agent: there.agent.id,
          resources: [{ resource: there.resource.identifier, scope: 'tickets:read' }],
        }),
      );
      await operator.ok('DELETE', `/people/${person.id}`);
      assert.ok(!('name' in (await operator.ok('GET', `/mandates/${id}`))));
    });
  });
}
