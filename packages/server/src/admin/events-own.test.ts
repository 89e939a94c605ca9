/** The tail of who may see little: it brings what is theirs, while others are at work, and follows who answers for them now. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { openTail } from '../testing/tail.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`the tail of an owner (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let owner: AdminClient & { agent: string };
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      owner = await administrator(server, operator, { scopes: ['events:own'] });
    });
    after(() => server.close());

    test('brings nothing of what others do, and ends once somebody else answers for them', {
      timeout: 60_000,
    }, async () => {
      const { owner: team } = await operator.ok('GET', `/agents/${owner.agent}`);
      const make = (name: string, of: string) =>
        operator.ok('POST', '/agents', { name, kind: 'device', owner: of, purpose: 'a test' });
      const tail = await openTail(server, owner, '');
      await tail.until((text) => /^id: /m.test(text));
      const theirs = await tokenClient(server);
      await theirs.send();
      await make('first', team);
      await theirs.send({ scope: 'tickets:burn' });
      await tail.until((text) => text.includes('agent.created'));
      assert.doesNotMatch(tail.text(), new RegExp(`${theirs.clientId}|token\\.issued|token\\.refused`));
      assert.equal(tail.text().match(/^data: /gm)?.length, 1);

      const other = await operator.ok('POST', '/teams', { name: 'others' });
      await operator.ok('PATCH', `/agents/${owner.agent}`, { owner: other.id });
      await make('second', team);
      await tail.until((text) => text.includes('event: end'));
      assert.doesNotMatch(tail.text(), /second|"name":"others"/);
      assert.match(tail.text(), /somebody else answers for you now/);
      tail.close();
    });
  });
}
