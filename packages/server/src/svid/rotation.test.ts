import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { generateJwk, type PublicJwk, publicJwk } from '@bailiwick/protocol';
import fc from 'fast-check';
import { tidy } from '../jobs.ts';
import { freshKeys, keepAuthority, type Rotatable, rotatable, rotateAuthority } from '../keys/ca.ts';
import { selectAuthorities } from '../keys/ca-store.ts';
import { asOf } from '../liveness/liveness.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type Bundle, trustBundle } from './bundle.ts';
import { bundleOf } from './bundles.ts';
import { issueJwtSvid, longestJwtSvidMs, verifyJwtSvid } from './jwt-svid.ts';
import { verifyX509Svid } from './verify-x509.ts';
import { issueX509Svid } from './x509-svid.ts';

const hour = 3_600_000;
const day = 24 * hour;

let jwk: PublicJwk;
before(async () => {
  jwk = publicJwk(await generateJwk('ES256'));
});

const servers: TestServer[] = [];
after(async () => {
  for (const server of servers) await server.close();
});
async function fresh(hint: number): Promise<TestServer> {
  const server = await startServer({ config: { spiffe: { refresh_hint_seconds: hint }, mtls: { enabled: false } } });
  servers.push(server);
  return server;
}

/** What the world knows: everything issued, and every bundle that somebody may still hold. */
interface World {
  server: TestServer;
  hintMs: number;
  x509: { der: Buffer[]; notAfter: number }[];
  jwts: { jwt: string; expiresAt: number }[];
  /** `until`: when it was last what we answered. */
  bundles: { bundle: Bundle; until: number }[];
  sequence: number;
  content: string;
}

async function look(world: World): Promise<void> {
  const { deps } = world.server;
  const now = deps.clock.now();
  const { version } = await asOf(deps.db);
  const document = await trustBundle(deps, version);
  const { spiffe_sequence, ...rest } = document;
  const content = JSON.stringify(rest);
  const same = content === world.content;
  assert.ok(same ? spiffe_sequence === world.sequence : spiffe_sequence > world.sequence, 'one number for one content');
  world.sequence = spiffe_sequence;
  world.content = content;
  const bundle = (await bundleOf(deps, version, deps.config.trust_domain)) as Bundle;
  const last = world.bundles.at(-1);
  if (last !== undefined && same) last.until = now;
  else world.bundles.push({ bundle, until: now });
}

async function issue(world: World): Promise<void> {
  const { deps } = world.server;
  const now = deps.clock.now();
  const { version } = await asOf(deps.db);
  const spiffeId = `spiffe://${deps.config.trust_domain}/home/agent/ins_1`;
  for (const lifetime of [hour, day]) {
    world.x509.push(
      await issueX509Svid(deps, version, { spiffeId, publicKey: jwk, notAfter: now + lifetime, template: 'instance' }),
    );
  }
  const expiresAt = now + 300_000;
  world.jwts.push({ jwt: await issueJwtSvid(deps, version, { spiffeId, audience: ['a'], expiresAt }), expiresAt });
}

/** Whoever fetches by the hint, through a cache that keeps for five minutes, verifies everything that has not ended. */
async function everythingVerifies(world: World): Promise<void> {
  const { deps } = world.server;
  const now = deps.clock.now();
  world.x509 = world.x509.filter(({ notAfter }) => notAfter >= now);
  world.jwts = world.jwts.filter(({ expiresAt }) => expiresAt > now);
  world.bundles = world.bundles.filter(({ until }) => until >= now - world.hintMs - 300_000);
  for (const { bundle } of world.bundles) {
    const bundles = async () => bundle;
    for (const { der } of world.x509) await verifyX509Svid(der, { bundles, now, purpose: 'client' });
    for (const { jwt } of world.jwts)
      await verifyJwtSvid(deps, jwt, { audience: 'a', bundles, longestMs: longestJwtSvidMs });
  }
}

/** Time goes by: the server runs, and keeps itself up every hour; or it is away for longer, and keeps itself up before it answers. */
async function pass(world: World, ms: number): Promise<void> {
  const { deps, clock } = world.server;
  const away = ms > 30 * hour;
  for (let left = ms; left > 0; left -= away ? ms : hour) {
    clock.advance(away ? ms : Math.min(left, hour));
    if (!away) await look(world); // somebody asks before the job has run
    await keepAuthority(deps);
    await look(world);
  }
  await everythingVerifies(world);
}

const worldOf = (server: TestServer, hintMs: number): World => ({
  server,
  hintMs,
  x509: [],
  jwts: [],
  bundles: [],
  sequence: 0,
  content: '',
});

test('property: at every moment every unexpired SVID verifies with every bundle that anybody who refreshes may hold', async () => {
  // the schedule itself has a property of its own, with thousands of runs; here are real certificates, and times near its edges
  const edge = fc.constantFrom(hour, 22 * hour, day, 25 * hour, 26 * hour, 30 * day, 90 * day);
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.tuple(edge, fc.integer({ min: -hour + 1, max: hour })).map(([at, off]) => ({ pass: at + off })),
    },
    { weight: 1, arbitrary: fc.record({ pass: fc.integer({ min: 1, max: 400 * day }) }) },
    { weight: 2, arbitrary: fc.record({ rotate: fc.constantFrom<Rotatable>(...rotatable) }) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(10, 300, 86_400),
      fc.array(step, { minLength: 3, maxLength: 14 }),
      async (hint, steps) => {
        const server = await fresh(hint);
        const world = worldOf(server, hint * 1000);
        await look(world);
        for (const each of steps) {
          await issue(world);
          if ('pass' in each) await pass(world, each.pass);
          else {
            const keys = await freshKeys();
            await server.deps.db.transaction((tx) => rotateAuthority(tx, server.deps, each.rotate, keys));
            await look(world);
          }
          await issue(world);
          await everythingVerifies(world);
        }
        await servers.pop()?.close();
      },
    ),
    { numRuns: 25, endOnFailure: true },
  );
});

test('ten years go by: roots, intermediates and keys follow each other, and nothing old is kept', async () => {
  const server = await fresh(300);
  const world = worldOf(server, 300_000);
  await look(world);
  const roots = new Set<string>();
  const intermediates = new Set<string>();
  for (let days = 0; days < 3650; days += 6) {
    await issue(world);
    await pass(world, 6 * day);
    const rows = await selectAuthorities(server.deps.db);
    for (const { id, kind } of rows) (kind === 'root' ? roots : intermediates).add(id);
    assert.ok(rows.length <= 6, `${rows.length} authorities`);
  }
  assert.equal(roots.size, 2);
  assert.ok(intermediates.size > 100 && intermediates.size < 130, `${intermediates.size} intermediates`);
});

test('a server that slept for twenty years has an authority again before it answers', async () => {
  const server = await fresh(300);
  const world = worldOf(server, 300_000);
  await look(world);
  server.clock.advance(20 * 365 * day);
  await tidy(server.deps);
  world.bundles = [];
  await look(world);
  await issue(world);
  await everythingVerifies(world);
});

for (const database of databases) {
  test(`two nodes that find the same due make one successor, and both sign with it (${database})`, async () => {
    const first = await startServer({ database });
    const second = await startServer({ joins: first });
    try {
      first.clock.advance(31 * day);
      const did = await Promise.all([keepAuthority(first.deps), keepAuthority(second.deps)]);
      assert.deepEqual(did.toSorted(), [false, true]);
      const rows = await selectAuthorities(first.deps.db);
      const intermediates = rows.filter(({ kind }) => kind === 'intermediate');
      assert.equal(intermediates.length, 2);
      for (const { deps } of [first, second]) {
        const { version } = await asOf(deps.db);
        const spiffeId = `spiffe://${deps.config.trust_domain}/home/agent/ins_1`;
        const notAfter = deps.clock.now() + hour;
        const svid = await issueX509Svid(deps, version, { spiffeId, publicKey: jwk, notAfter, template: 'instance' });
        assert.equal(svid.der[1]?.toString('base64'), intermediates[1]?.certificate);
        await assert.doesNotReject(
          issueJwtSvid(deps, version, { spiffeId, audience: ['a'], expiresAt: deps.clock.now() + 1000 }),
        );
      }
    } finally {
      await second.close();
      await first.close();
    }
  });
}

test('another refresh hint is told with the next start, once, and not taken back by a node that started earlier', async () => {
  const first = await startServer({ config: { spiffe: { refresh_hint_seconds: 300 } } });
  const second = await startServer({ joins: first, config: { spiffe: { refresh_hint_seconds: 600 } } });
  try {
    for (const { deps } of [first, second, first]) {
      await tidy(deps);
      const { spiffe_sequence, spiffe_refresh_hint } = await trustBundle(deps, (await asOf(deps.db)).version);
      assert.deepEqual([spiffe_sequence, spiffe_refresh_hint], [2, 600]);
    }
  } finally {
    await second.close();
    await first.close();
  }
});
