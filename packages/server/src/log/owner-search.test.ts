/** What somebody who may see little has done for them: it doesn't depend on what others do, or time would tell them. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { countingWork } from '../testing/work.ts';
import type { EventFilter } from './filter.ts';
import { caughtUp } from './indexer.ts';
import { searchEvents } from './search.ts';

const idOf = (prefix: string, n: number) => `${prefix}_${String(n).padStart(26, '0')}`;
const mine = { org: idOf('org', 1), owner: idOf('tea', 1), agent: idOf('agt', 1) };
const others = { org: mine.org, owner: idOf('tea', 2), agent: idOf('agt', 2) };
const elsewhere = { org: idOf('org', 2), owner: idOf('tea', 3), agent: idOf('agt', 3) };

const used = ({ org, owner, agent }: typeof mine, more: Partial<AuditEvent> = {}): AuditEvent => ({
  type: 'access.used',
  outcome: 'allowed',
  org,
  agent,
  resource: 'https://one.example',
  jti: 'a-token',
  decided_on: { operation: 'read', task: idOf('tsk', 1) },
  personal: { owner, address: '192.0.2.1' },
  ...more,
});

for (const database of databases) {
  describe(`what is seen of others’ events by the work that is done (${database})`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(async () => {
      await server.deps.db.settle((tx) => tx.run('delete from events')); // made up: the vocabulary has nothing to say about them
      await server.close();
    });

    async function append(...events: AuditEvent[]) {
      const { deps } = server;
      for (const event of events) {
        const sealing = await sealingFor(deps, 1, event.personal.owner as string);
        await deps.db.settle((tx) => appendEvent(tx, deps, sealing, event));
      }
      await caughtUp(deps);
    }

    const questions: [what: string, filter: EventFilter][] = [
      ['everything', { org: mine.org, ownedBy: mine.owner }],
      ['an agent of others', { org: mine.org, ownedBy: mine.owner, agent: others.agent }],
      ['an address', { org: mine.org, ownedBy: mine.owner, address: '192.0.2.7' }],
      ['an owner', { org: mine.org, ownedBy: mine.owner, owner: others.owner }],
      ['types and a task', { org: mine.org, ownedBy: mine.owner, types: ['access.used'], task: idOf('tsk', 1) }],
      ['words', { org: mine.org, ownedBy: mine.owner, text: 'read' }],
      ['a token', { org: mine.org, ownedBy: mine.owner, jti: 'a-token' }],
      ['another organization', { org: mine.org, agent: mine.agent, operation: 'read' }],
    ];
    async function workOf(filter: EventFilter) {
      const { deps, work } = countingWork(server.deps);
      await searchEvents(deps, filter, { order: 'newest', limit: 10 });
      return work();
    }

    test('statements and rows are the same with hundreds of events of others, that would fit, and without', async () => {
      await append(...Array.from({ length: 30 }, () => used(mine)));
      const alone = [];
      for (const [, filter] of questions) alone.push(await workOf(filter));
      assert.ok(
        alone.every(([statements]) => statements > 0),
        'so that this test says something',
      );
      await append(
        ...Array.from({ length: 300 }, (_, n) =>
          used(n % 2 ? others : elsewhere, {
            personal: { owner: n % 2 ? others.owner : elsewhere.owner, address: '192.0.2.7' },
          }),
        ),
      );
      for (const [index, [what, filter]] of questions.entries()) {
        if (filter.ownedBy === undefined) continue;
        assert.deepEqual(await workOf(filter), alone[index], what);
      }
      const [, ofOrganization] = questions.at(-1) as (typeof questions)[number];
      await append(...Array.from({ length: 100 }, () => used({ ...elsewhere, agent: mine.agent })));
      assert.deepEqual(await workOf(ofOrganization), alone.at(-1), 'of another organization');
    });

    test('what is hidden from an owner is found by nothing, and costs what anything costs', async () => {
      // somebody else's doing, to an agent of theirs: they see that it happened, not from where
      const target = server.operator.client_id;
      const row = await server.deps.db.get<{ owner: string; org: string }>(
        'select owner, org from agents where id = ?',
        [target],
      );
      const { owner, org } = row as { owner: string; org: string };
      const stranger = { org, owner: others.owner, agent: others.agent };
      await append(
        used(stranger, {
          type: 'token.revoked',
          target,
          personal: { owner: others.owner, address: '198.51.100.9', person: idOf('per', 9) },
        }),
      );
      const asked = { org, ownedBy: owner, target, types: ['token.revoked'] };
      const found = async (more: Partial<EventFilter>) =>
        (await searchEvents(server.deps, { ...asked, ...more }, { order: 'newest', limit: 10 })).events.length;
      assert.equal(await found({}), 1);
      for (const [right, wrong] of [
        [{ address: '198.51.100.9' }, { address: '198.51.100.8' }],
        [{ owner: others.owner }, { owner: elsewhere.owner }],
        [{ person: idOf('per', 9) }, { person: idOf('per', 8) }],
      ] as const) {
        assert.deepEqual([await found(right), await found(wrong)], [0, 0], JSON.stringify(right));
        assert.deepEqual(await workOf({ ...asked, ...right }), await workOf({ ...asked, ...wrong }));
      }
    });
  });
}
