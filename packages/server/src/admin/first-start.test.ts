import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { generateJwk } from '@bailiwick/protocol';
import { openDeps, start } from '../app.ts';
import { type Config, loadConfig } from '../config.ts';
import type { Deps } from '../deps.ts';
import { fakeClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { adminClient } from '../testing/admin-client.ts';
import { databases, startServer, testEpoch } from '../testing/harness.ts';
import { testPostgres } from '../testing/postgres.ts';
import { firstStart, recoverOperator } from './first-start.ts';
import { operatorFile } from './operator-file.ts';

const clock = fakeClock(testEpoch);
const world = { clock, log: silentLogger };

/** Data that was never started on; `nodes` open it one after the other. */
async function emptyData(database: string): Promise<{ config: Config; open(): Promise<Deps>; drop(): Promise<void> }> {
  const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-first-'));
  const postgres = database === 'postgres' ? await testPostgres() : undefined;
  const overrides = { data, issuer: 'http://localhost:8455', ...(postgres && { database_url: postgres.url }) };
  const config = loadConfig({ cwd: data, overrides });
  const opened: Deps[] = [];
  return {
    config,
    async open() {
      const deps = await openDeps(config, world);
      opened.push(deps);
      return deps;
    },
    async drop() {
      for (const { db } of opened) await db.close();
      await postgres?.drop();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

const read = (config: Config) => JSON.parse(readFileSync(operatorFile(config), 'utf8'));

const rows = (deps: Deps, table: string) => deps.db.all<{ id: string }>(`select id from ${table} order by id`);

for (const database of databases) {
  describe(`the first start (${database})`, () => {
    test('makes the organization, the team, the roles and the operator, and writes its key for its owner alone', async () => {
      const data = await emptyData(database);
      try {
        const deps = await data.open();
        const made = await firstStart(deps);
        assert.equal(made.created, true);
        const file = read(data.config);
        assert.deepEqual(Object.keys(file), ['issuer', 'client_id', 'jwk']);
        assert.equal(file.issuer, 'http://localhost:8455');
        assert.equal(statSync(made.operatorFile).mode & 0o777, 0o600);
        assert.deepEqual(
          (await rows(deps, 'agents')).map(({ id }) => id),
          [file.client_id],
        );
        assert.equal((await rows(deps, 'roles')).length, 6);
        // nothing in the database is private
        for (const table of ['credentials', 'events']) {
          assert.ok(!JSON.stringify(await deps.db.all(`select * from ${table}`)).includes(file.jwk.d));
        }
        const again = await firstStart(deps);
        assert.equal(again.created, false);
        assert.deepEqual(read(data.config), file, 'later starts leave it alone');
        assert.equal((await rows(deps, 'events')).length, 1);
      } finally {
        await data.drop();
      }
    });

    test('happens once, however many nodes start at once', async () => {
      const data = await emptyData(database);
      try {
        const nodes = [await data.open(), await data.open(), await data.open(), await data.open()];
        const made = await Promise.all(nodes.map((deps) => firstStart(deps)));
        assert.equal(made.filter(({ created }) => created).length, 1);
        const [deps] = nodes as [Deps];
        for (const [table, count] of [
          ['organizations', 1],
          ['teams', 1],
          ['agents', 1],
          ['credentials', 1],
          ['resources', 2],
          ['role_grants', 1],
        ] as const) {
          assert.equal((await rows(deps, table)).length, count, table);
        }
        const { client_id, jwk } = read(data.config);
        assert.equal((await rows(deps, 'agents'))[0]?.id, client_id);
        const [credential] = await deps.db.all<{ kid: string }>('select kid from credentials');
        assert.equal(credential?.kid, jwk.kid, 'the file holds the key that is registered');
      } finally {
        await data.drop();
      }
    });

    test('a crash between the file and the commit leaves nothing: the next start makes it anew', async () => {
      const data = await emptyData(database);
      try {
        const deps = await data.open();
        const broken: Deps = {
          ...deps,
          db: {
            ...deps.db,
            transaction: (work) =>
              deps.db.transaction(async (tx) => {
                await work(tx);
                throw new Error('the power went');
              }),
          },
        };
        await assert.rejects(firstStart(broken), /the power went/);
        const lost = read(data.config);
        assert.equal((await rows(deps, 'agents')).length, 0);
        assert.equal((await firstStart(deps)).created, true);
        const kept = read(data.config);
        assert.notEqual(kept.client_id, lost.client_id);
        assert.equal((await rows(deps, 'agents'))[0]?.id, kept.client_id);
      } finally {
        await data.drop();
      }
    });

    test('never destroys a key: what stood in operator.json is kept beside it', async () => {
      const data = await emptyData(database);
      try {
        const jwk = await generateJwk('ES256');
        const other = JSON.stringify({ issuer: 'https://other.example', client_id: 'agt_other', jwk });
        writeFileSync(operatorFile(data.config), other);
        await firstStart(await data.open());
        const beside = `operator.json.${jwk.kid?.slice(0, 8)}`;
        assert.equal(readFileSync(path.join(data.config.data, beside), 'utf8'), other);
        assert.ok(!readdirSync(data.config.data).includes('operator.json.new'));
      } finally {
        await data.drop();
      }
    });

    for (const [what, plant] of [
      ['a file that anybody may read', (fresh: string) => writeFileSync(fresh, '', { mode: 0o666 })],
      ['a link to somebody else’s file', (fresh: string, theirs: string) => symlinkSync(theirs, fresh)],
    ] as const) {
      test(`writes the key into nothing that was there before: ${what}`, async () => {
        const data = await emptyData(database);
        const elsewhere = mkdtempSync(path.join(tmpdir(), 'bailiwick-planted-'));
        try {
          const theirs = path.join(elsewhere, 'loot');
          writeFileSync(theirs, '', { mode: 0o666 });
          plant(`${operatorFile(data.config)}.new`, theirs);
          await firstStart(await data.open());
          const { mode } = lstatSync(operatorFile(data.config));
          assert.equal(mode, 0o100600, 'a file of its own, for its owner alone');
          assert.equal(readFileSync(theirs, 'utf8'), '');
          assert.ok(read(data.config).jwk.d);
        } finally {
          await data.drop();
          rmSync(elsewhere, { recursive: true, force: true });
        }
      });
    }

    test('data of another issuer is refused with the sentence that helps', async () => {
      const data = await emptyData(database);
      try {
        const deps = await data.open();
        await firstStart(deps);
        const public_ = { ...deps, config: { ...deps.config, issuer: 'https://id.example.com' } };
        await assert.rejects(firstStart(public_), /made under the issuer http:\/\/localhost:8455.*BAILIWICK_ISSUER=/);
        assert.equal(read(data.config).issuer, 'http://localhost:8455');
      } finally {
        await data.drop();
      }
    });

    test('a server on a developer’s machine moves to another port and back', async () => {
      const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-moved-'));
      const postgres = database === 'postgres' ? await testPostgres() : undefined;
      const overrides = { data, port: 0, ...(postgres && { database_url: postgres.url }) };
      try {
        const issuers = new Set<string>();
        for (let n = 0; n < 3; n++) {
          const running = await start(loadConfig({ cwd: data, overrides }), world);
          try {
            const { issuer, deps, addresses } = running;
            issuers.add(issuer);
            const operator = JSON.parse(readFileSync(running.operatorFile, 'utf8'));
            assert.equal(operator.issuer, issuer);
            const client = adminClient({ issuer, clock, address: addresses[0] as string }, operator);
            const { items } = await client.ok('GET', '/resources');
            assert.equal(items[0].identifier, `${issuer}/admin`);
            assert.equal((await rows(deps, 'agents')).length, 1);
          } finally {
            await running.close();
          }
        }
        assert.equal(issuers.size, 3);
      } finally {
        await postgres?.drop();
        rmSync(data, { recursive: true, force: true });
      }
    });

    test('a later version adds the scopes that an earlier one did not have', async () => {
      const data = await emptyData(database);
      try {
        const deps = await data.open();
        await firstStart(deps);
        const [role] = await deps.db.all<{ id: string; permissions: string }>(
          "select id, permissions from roles where name = 'operator'",
        );
        const [resource] = await deps.db.all<{ scopes: string }>('select scopes from resources');
        // as if this version were newer than the data
        await deps.db.transaction(async (tx) => {
          await tx.run("update roles set permissions = '[]' where name = 'operator'");
          await tx.run("update resources set scopes = '[]'");
          await tx.run("update agents set resources = '[]'");
        });
        const { version } = (await deps.db.get<{ version: number }>('select version from counter')) as {
          version: number;
        };
        await firstStart(deps);
        assert.equal((await deps.db.get<{ scopes: string }>('select scopes from resources'))?.scopes, resource?.scopes);
        const [after] = await deps.db.all<{ permissions: string }>(
          "select permissions from roles where name = 'operator'",
        );
        assert.equal(after?.permissions, role?.permissions);
        const [agent] = await deps.db.all<{ resources: string }>('select resources from agents');
        assert.match(agent?.resources ?? '', /"keys:write"/);
        const now = await deps.db.get<{ version: number }>('select version from counter');
        assert.ok((now?.version ?? 0) > version, 'nodes that remember the old are told');
        await firstStart(deps);
        assert.deepEqual(await deps.db.get('select version from counter'), now, 'and nothing more to do');
      } finally {
        await data.drop();
      }
    });

    test('gives organizations that are older than policies the starter set, once, and none that removed it', async () => {
      const data = await emptyData(database);
      try {
        const deps = await data.open();
        await firstStart(deps);
        const starter = async () =>
          (await deps.db.all<{ mode: string }>('select mode from policy_versions order by revision')).map(
            ({ mode }) => mode,
          );
        assert.deepEqual(await starter(), ['enforce']);
        await deps.db.transaction(async (tx) => {
          await tx.run('delete from policies');
          await tx.run('delete from policy_versions');
        });
        await firstStart(deps);
        assert.deepEqual(await starter(), ['enforce']);
        await deps.db.transaction((tx) => tx.run("update policy_versions set mode = 'removed'"));
        await firstStart(deps);
        assert.deepEqual(await starter(), ['removed']);
      } finally {
        await data.drop();
      }
    });
  });

  describe(`recovering the operator (${database})`, () => {
    test('gives it a new key, and ends the others if asked', async () => {
      const server = await startServer({ database });
      try {
        const before = adminClient(server, server.operator);
        await before.ok('GET', '/agents');
        const kept = await recoverOperator(server.deps, { endOthers: false });
        assert.deepEqual([kept.client_id, kept.ended], [server.operator.client_id, 0]);
        await before.ok('GET', '/agents');
        const second = read(server.deps.config);
        assert.notEqual(second.jwk.kid, server.operator.jwk.kid);
        await adminClient(server, second).ok('GET', '/agents');

        const alone = await recoverOperator(server.deps, { endOthers: true });
        assert.equal(alone.ended, 2);
        assert.equal((await before.call('GET', '/agents')).status, 401);
        await assert.rejects(adminClient(server, second).ok('GET', '/agents'), /invalid_client/);
        const third = adminClient(server, read(server.deps.config));
        const { items } = await third.ok('GET', '/events?type=operator.recovered');
        assert.equal(items.length, 2);
      } finally {
        await server.close();
      }
    });

    test('undoes whatever stopped it', async () => {
      const server = await startServer({ database });
      try {
        const first = adminClient(server, server.operator);
        const [team] = (await first.ok('GET', '/teams')).items;
        const [role] = (await first.ok('GET', '/roles?name=operator')).items;
        const { operator } = server;
        // a second one, so that the first can be stopped
        const resource = `${server.issuer}/admin`;
        const scopes = role.permissions[0].scopes;
        const other = await first.ok('POST', '/agents', {
          name: 'operator-2',
          kind: 'workload',
          owner: team.id,
          resources: [{ resource, default: true, scope: scopes }],
        });
        await first.ok('PUT', `/agents/${other.id}/roles/${role.id}`);
        const jwk = await generateJwk('ES256');
        const { d: _, ...half } = jwk;
        await first.ok('POST', '/credentials', { agent: other.id, jwk: half });
        const second = adminClient(server, { client_id: other.id, jwk });
        await second.ok('PATCH', `/agents/${operator.client_id}`, {
          grants: [],
          resources: [],
          expires_at: '2026-12-01T00:00:00Z',
        });
        await second.ok('DELETE', `/agents/${operator.client_id}/roles/${role.id}`);
        await second.ok('POST', `/agents/${operator.client_id}/suspend`);
        server.clock.advance(60 * 86_400_000);

        const back = await recoverOperator(server.deps, { endOthers: true });
        assert.equal(back.client_id, operator.client_id);
        const recovered = adminClient(server, read(server.deps.config));
        await recovered.ok('POST', `/agents/${other.id}/suspend`);

        await adminClient(server, read(server.deps.config)).ok('POST', `/agents/${other.id}/resume`);
        const again = adminClient(server, { client_id: other.id, jwk });
        await again.ok('POST', `/agents/${operator.client_id}/retire`);
        // the name operator is gone for good, operator-2 is there
        const heir = await recoverOperator(server.deps, { endOthers: false });
        assert.equal(heir.client_id, other.id);
        await adminClient(server, read(server.deps.config)).ok('GET', '/keys');
      } finally {
        await server.close();
      }
    });

    test('without a first start there is nothing to recover', async () => {
      const data = await emptyData(database);
      try {
        await assert.rejects(recoverOperator(await data.open(), { endOthers: false }), /the first start makes one/);
      } finally {
        await data.drop();
      }
    });
  });
}
