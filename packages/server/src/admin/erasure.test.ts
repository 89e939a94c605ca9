import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { subjectTerm } from '../log/terms.ts';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { commandLine } from '../testing/command-line.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

for (const database of databases) {
  describe(`erasing a person, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    /** A person who has answered for an agent, with events in which they stand. */
    async function someone() {
      const [name, mailbox, purpose] = ['Zebulon', 'zeb', 'walks'].map(
        (word) => `${word}-${randomBytes(6).toString('hex')}`,
      ) as [string, string, string];
      const email = `${mailbox}@example.com`;
      const made = await operator.call(
        'POST',
        '/people',
        { name, email },
        { 'idempotency-key': randomBytes(8).toString('hex') },
      );
      const person = made.body.id as string;
      const agent = await operator.ok('POST', '/agents', {
        name: `a-${mailbox}`,
        kind: 'workload',
        owner: person,
        purpose,
      });
      const jwk = await generateJwk('ES256');
      await operator.ok('POST', '/credentials', { agent: agent.id, jwk: publicJwk(jwk) });
      await operator.enrol({ client_id: agent.id, jwk }); // an event of its own, under the key of who answers for it
      await operator.ok('POST', `/agents/${agent.id}/retire`, {});
      await operator.ok('GET', `/events?owner=${person}`); // so that the index has it
      return { person, name, email, purpose };
    }
    const leaves = () =>
      server.deps.db.all<{ id: string; leaf: string }>('select id, leaf from events order by arrival');
    const keyOf = async (person: string) =>
      (await server.deps.db.get<{ key: string }>('select key from sealing_keys where subject = ?', [person]))?.key;

    test('takes plain text, keys and index; the leaves stay byte for byte', async () => {
      const { person, name, email } = await someone();
      const before = await leaves();
      const theirs = async () => {
        const { db, audit } = server.deps;
        const sealed = await db.all('select id from personal where subject = ?', [person]);
        const found = await db.all('select term from personal_terms where subject = ?', [
          subjectTerm(audit.indexKey, person),
        ]);
        return [sealed.length, found.length];
      };
      assert.ok(
        (await theirs()).every((count) => count > 0),
        'so that this test can fail',
      );
      await operator.ok('DELETE', `/people/${person}`);
      const afterwards = await leaves();
      assert.deepEqual(afterwards.slice(0, before.length), before);
      assert.equal(await keyOf(person), undefined);
      assert.deepEqual(await theirs(), [0, 0]);
      const everything = JSON.stringify([
        await server.deps.db.all('select * from people'),
        await server.deps.db.all('select * from idempotency'),
        await server.deps.db.all('select * from events'),
      ]);
      assert.ok(!everything.includes(name) && !everything.includes(email));
      assert.deepEqual((await operator.ok('GET', `/events?owner=${person}`)).items, []);
      assert.ok((await operator.ok('GET', `/events?target=${person}&type=person.erased`)).items.length === 1);
    });

    test('takes why they, and what they answered for, were revoked', async () => {
      const { person, name } = await someone();
      const reason = `${name} is suspected`;
      const agent = await operator.ok('POST', '/agents', {
        name: `b-${name.toLowerCase()}`,
        kind: 'workload',
        owner: person,
        purpose: `reads mail of ${name}`,
      });
      const { rev } = await operator.ok('POST', '/revocations', { subject: person, agents: true, reason });
      await operator.ok('POST', `/agents/${agent.id}/retire`, {});
      const told = async () =>
        JSON.stringify([
          await operator.ok('GET', '/events?limit=200'),
          await operator.ok('GET', '/revocations'),
          await operator.ok('GET', `/revocations/${rev}`),
          await operator.ok('GET', `/agents/${agent.id}`),
        ]).split(reason).length - 1;
      assert.ok((await told()) >= 4);
      await operator.ok('DELETE', `/people/${person}`);
      assert.equal(await told(), 0);
      const rows = [
        await server.deps.db.all('select * from revocations'),
        await server.deps.db.all('select * from agents'),
      ];
      assert.ok(!JSON.stringify(rows).includes(name));
    });

    test('leaves no byte of them in the files', { skip: database !== 'sqlite' }, async () => {
      const { person, name, email } = await someone();
      const key = (await keyOf(person)) as string;
      assert.ok(key.length > 40);
      const { data } = server.deps.config;
      const found = (text: string) =>
        readdirSync(data).filter(
          (file) => file.startsWith('bailiwick.db') && readFileSync(path.join(data, file)).includes(text),
        );
      assert.notDeepEqual(found(name), [], 'they would be found');
      await operator.ok('DELETE', `/people/${person}`);
      await server.deps.db.dropOverwritten(); // waits for what the erasure has begun
      for (const text of [name, email, key]) assert.deepEqual(found(text), []);
    });

    test('at the command line, which says what can not be recalled', async () => {
      const { person, email } = await someone();
      const cli = commandLine(server);
      try {
        const told = await cli('people', 'erase', email, '--yes');
        assert.equal(told.code, 0, told.err);
        assert.match(told.out, new RegExp(`Erased ${person}`));
        assert.match(told.out, /can not be recalled/);
      } finally {
        cli.close();
      }
    });
  });
}
