/** Whatever is asked of `instances` finds its rows by an index: a million of the past cost nothing. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Queries, Tx, Value } from '../store/database.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { tokenClient } from '../testing/token-client.ts';
import { forgetInstances } from './forget.ts';

interface Statement {
  sql: string;
  params: readonly Value[] | undefined;
}

/** The same, writing down what is asked. */
function heard<Q extends Queries>(q: Q, statements: Map<string, Statement>): Q {
  const asked = new Set<string | symbol>(['get', 'all', 'run']);
  return new Proxy(q, {
    get(target, name) {
      const member = Reflect.get(target, name, target) as unknown;
      if (typeof member !== 'function') return member;
      if (!asked.has(name)) return member.bind(target);
      return (sql: string, params?: readonly Value[]) => {
        statements.set(sql, { sql, params });
        return member.call(target, sql, params);
      };
    },
  });
}

for (const database of databases) {
  describe(`what enrolments ask the database, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    /** All that is asked about instances while they live and end: the text of each statement once. */
    async function asked(): Promise<Statement[]> {
      const { deps } = server;
      const statements = new Map<string, Statement>();
      const { db } = deps;
      const listening = new Proxy(heard(db, statements), {
        get(target, name) {
          const member = Reflect.get(target, name, target) as unknown;
          if (name !== 'settle' && name !== 'transaction') return member;
          return (work: (tx: Tx) => unknown, ...more: unknown[]) =>
            (member as (...args: unknown[]) => unknown)((tx: Tx) => work(heard(tx, statements)), ...more);
        },
      });
      const client = await tokenClient(server, { agent: { instances: { live_at_most: 3 } } });
      const at = instanceClient(server, client);
      deps.db = listening;
      try {
        const parent = await at.instance();
        const child = await at.child(parent);
        assert.equal(child.status, 201);
        assert.equal((await at.call(child, 'POST', '/renew', {})).status, 200);
        assert.equal((await at.tokenOf(child)).status, 200);
        const { secret } = await at.token();
        assert.equal((await at.enrol({ token: secret })).status, 201);
        await server.admin('POST', `/agents/${client.clientId}/suspend`, {});
        await server.admin('POST', `/agents/${client.clientId}/resume`);
        for (let n = 0; n < 3; n++) await at.instance(); // those that were stopped are struck out
        assert.equal((await at.enrolByKey()).status, 429);
        const other = instanceClient(server, await tokenClient(server));
        const gone = await other.instance();
        assert.equal((await other.call(gone, 'DELETE')).status, 204);
        server.clock.advance(26 * 3600_000);
        await forgetInstances(deps);
      } finally {
        deps.db = db;
      }
      return [...statements.values()].filter(({ sql }) => /\binstances\b/.test(sql) && !/^\s*insert/i.test(sql));
    }

    test('is found by an index, every time', async () => {
      const all = await asked();
      const forms = all.map(({ sql }) => sql).join('\n');
      for (const part of [
        'where id = ?',
        'where thumbprint = ?',
        'where parent = ?',
        'i.parent = ?',
        'expires_at > ? and expires_at <= ?',
        'where id > ? order by id',
        'delete from instances',
        'exists (',
      ]) {
        assert.ok(forms.includes(part), `nobody asked ${part}: this says nothing of it`);
      }
      for (const statement of all) {
        const found = await server.deps.db.transaction((tx) => waysTo(tx, statement));
        assert.ok(found.length > 0, statement.sql);
        for (const way of found) assert.ok(way.byIndex, `${statement.sql}\n${way.said}`);
      }
    });

    test('a statement that reads everything would be noticed', async () => {
      for (const sql of [
        'select * from instances where name = ?',
        'select * from instances where spiffe_id = ?',
        'select count(*) as n from instances where expires_at > 0 and created_at < ?',
      ]) {
        const [way] = await server.deps.db.transaction((tx) =>
          waysTo(tx, { sql, params: sql.includes('created') ? [0] : ['x'] }),
        );
        assert.equal(way?.byIndex, false, `${sql}: ${way?.said}`);
      }
    });
  });
}

/** A condition on what an index is sorted by first: anything else reads all of it. */
const firstOfAnIndex = /\b(id|agent|org|parent|thumbprint) [=>] /;

/** How the database would come to the rows of `instances`. */
async function waysTo(tx: Tx, { sql, params }: Statement): Promise<{ byIndex: boolean; said: string }[]> {
  if (tx.dialect === 'sqlite') {
    const steps = await tx.all<{ detail: string }>(`explain query plan ${sql}`, params);
    return steps
      .map(({ detail }) => detail)
      .filter((detail) => /^(SCAN|SEARCH) (instances|i)\b/.test(detail))
      .map((said) => ({ byIndex: said.startsWith('SEARCH') && !said.includes('ANY('), said }));
  }
  await tx.run('set local enable_seqscan = off'); // of few rows it would read all, whatever there is
  const [row] = await tx.all<{ 'QUERY PLAN': unknown }>(`explain (format json) ${sql}`, params);
  const plan = row?.['QUERY PLAN'];
  return stepsOf((typeof plan === 'string' ? JSON.parse(plan) : plan)[0].Plan)
    .filter((step) => step['Relation Name'] === 'instances' && step['Node Type'] !== 'ModifyTable')
    .map((step) => ({
      byIndex: firstOfAnIndex.test(String(step['Index Cond'] ?? step['Recheck Cond'])),
      said: JSON.stringify(step),
    }));
}

type Step = Record<string, unknown> & { Plans?: Step[] };
const stepsOf = (step: Step): Step[] => [step, ...(step.Plans ?? []).flatMap(stepsOf)];
