import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startServer } from '../testing/harness.ts';
import { tokenClient } from '../testing/token-client.ts';
import { holdAgainstVocabulary } from '../testing/vocabulary.ts';
import { type EventType, eventTypes } from './event.ts';
import { leafSchema, typeOfEvent, wrongWith } from './vocabulary.ts';

describe('the vocabulary of the log', () => {
  test('has a schema and a sentence for every type', () => {
    for (const type of Object.keys(eventTypes) as EventType[]) {
      assert.ok(leafSchema(type));
      assert.match(typeOfEvent(type).says, /^[A-Z].*\.$/, type);
      const { issues = [] } = leafSchema(type).safeParse({ decided_on: { colour: 'red' } }).error ?? {};
      const unknown = issues.filter(({ code, path }) => code === 'unrecognized_keys' && path[0] === 'decided_on');
      assert.equal(unknown.length, 1, `${type} says all that it carries`);
    }
  });

  test('what the server appends is as it says; a member more, one less or another value is not', async () => {
    const server = await startServer();
    try {
      const client = await tokenClient(server);
      assert.equal((await client.send()).status, 200);
      await holdAgainstVocabulary(server.deps.db);
      const row = await server.deps.db.get<{ leaf: string }>("select leaf from events where type = 'token.issued'");
      const leaf = JSON.parse(row?.leaf ?? '') as Record<string, unknown> & { decided_on: object; commitments: object };
      assert.deepEqual(wrongWith(leaf), []);
      const { jti: _, ...without } = leaf;
      const altered: [string, Record<string, unknown>][] = [
        ['jti', without],
        ['leaf', { ...leaf, colour: 'red' }],
        ['decided_on', { ...leaf, decided_on: { ...leaf.decided_on, colour: 'red' } }],
        ['decided_on.expires_at', { ...leaf, decided_on: { ...leaf.decided_on, expires_at: 'soon' } }],
        ['commitments', { ...leaf, commitments: { ...leaf.commitments, colour: 'A'.repeat(43) } }],
        ['outcome', { ...leaf, outcome: 'refused' }],
        ['trace', { ...leaf, trace: 'anything' }],
      ];
      for (const [where, wrong] of altered) {
        const [first = ''] = wrongWith(wrong);
        assert.match(first, new RegExp(`^token\\.issued: ${where.replace('.', '\\.')}:`), where);
      }
      assert.match(wrongWith({ ...leaf, type: 'agent.sneezed' })[0] ?? '', /there is no type/);
      await server.deps.db.settle((tx) => tx.run('update events set leaf = replace(leaf, \'"v":1\', \'"v":2\')'));
      await assert.rejects(holdAgainstVocabulary(server.deps.db), /vocabulary/);
      await server.deps.db.settle((tx) => tx.run('update events set leaf = replace(leaf, \'"v":2\', \'"v":1\')'));
    } finally {
      await server.close();
    }
  });
});
