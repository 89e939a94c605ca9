/** Guards over restarts of their server: within the lease nobody notices, beyond it nothing that was ended is accepted, and they don't come back as a stampede. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Guard, GuardRequest } from '../packages/guard/src/index.ts';
import { databases } from '../packages/server/src/testing/harness.ts';
import { killableServers } from '../packages/server/src/testing/killed.ts';
import { until } from '../packages/server/src/testing/until.ts';
import { guarded, stateOf, statusOf } from './feed-world.ts';

/** How often guards are shown tokens while their server is away, ms. */
const paceMs = 50;

/** Its program is loaded before it dies: what is away is the server, not the machine. */
async function restartable(t: TestContext, database: (typeof databases)[number]) {
  const { servers, ...rest } = await killableServers(t, database, { spare: true });
  return { server: servers[0] as (typeof servers)[number], ...rest };
}

for (const database of databases) {
  test(`a restart is bridged by the lease: who calls doesn’t notice, and what was revoked meanwhile holds (${database})`, async (t) => {
    const { server, kill, startAgain } = await restartable(t, database);
    const here = await guarded(server, server.issuer);
    t.after(here.close);
    // long enough for a start on a machine that is busy; what a process has given before it died is waited for, too
    await server.admin('PATCH', `/resources/${here.resource}`, { feed: { lease_seconds: 12 } });
    const sent = requests();
    const guard = await here.guard({ fetch: sent.fetch });
    await guard.ready();
    const [lives, before, after] = [await here.caller(), await here.caller(), await here.caller()];
    for (const { request } of [lives, before, after]) assert.equal(await statusOf(guard, request), 200);

    // nobody waits for this one, and nobody has acknowledged it when the server dies
    const { rev } = await server.admin<{ rev: number }>('POST', '/revocations', {
      token: before.token,
      reason: 'a test',
    });
    await kill();
    let up = false;
    const starting = startAgain().then(() => {
      up = true;
    });
    const answers = new Set<number>();
    await until(
      async () => {
        answers.add(await statusOf(guard, lives.request));
        return up;
      },
      (isUp) => isUp,
      () => pause(paceMs),
    );
    await starting;
    assert.deepEqual([...answers], [200], 'while the server was away');
    assert.equal(sent.to('/introspect'), 0, 'and nobody was asked');

    const { acknowledgement } = await here.revoke({ token: after.token });
    assert.equal(acknowledgement.complete, true);
    assert.deepEqual(
      [
        await statusOf(guard, before.request),
        await statusOf(guard, after.request),
        await statusOf(guard, lives.request),
      ],
      [401, 401, 200],
    );
    const shown = await server.admin<{ acknowledgement: { complete: boolean } }>(
      'GET',
      `/revocations/${rev}?wait_seconds=20`,
    );
    assert.equal(shown.acknowledgement.complete, true, 'what was on its way has arrived');
    assert.equal(stateOf(guard), 'current');
  });
}

/** How many guards, and how many tokens each of them is shown again and again. */
const many = { guards: 12, tokens: 20 };
/**
 * What the guide says (feed-protocol.md): so many tokens a guard asks about at once, and so often it tries to follow the feed again, by a request for a lease and
 * by a stream: at once, after 50 ms, then twice as long each time, to 5 s, all of it by a fifth more or less.
 */
const questionsAtOnce = 16;
const triesAtMost = (ms: number) => 2 * (8 + ms / 4_000);

test('guards that have lost their leases come back each by few requests, however many tokens they are shown', async (t) => {
  const { server, kill, startAgain } = await restartable(t, 'sqlite');
  const here = await guarded(server, server.issuer);
  t.after(here.close);
  await server.admin('PATCH', `/resources/${here.resource}`, { feed: { lease_seconds: 5 } });
  const callers: { request: GuardRequest }[] = [];
  for (let n = 0; n < many.tokens; n++) callers.push(await here.caller());
  const sent = Array.from({ length: many.guards }, requests);
  const guards: Guard[] = [];
  for (const { fetch } of sent) guards.push(await here.guard({ fetch }));
  await Promise.all(guards.map((guard) => guard.ready()));
  await kill();
  await until(
    () => guards.filter((guard) => stateOf(guard) === 'lost').length,
    (lost) => lost === guards.length,
  );
  for (const one of sent) one.forget();

  let isOver = false;
  const load = Promise.all(
    guards.map(async (guard) => {
      for (; !isOver; await pause(paceMs)) await Promise.all(callers.map(({ request }) => statusOf(guard, request)));
    }),
  );
  const back = performance.now();
  /** What each has sent to the feed by the time it was back, and by how much that is too much. */
  const tries = new Map<number, number>();
  try {
    await startAgain();
    await until(
      () => {
        for (const [n, guard] of guards.entries()) {
          if (tries.has(n) || stateOf(guard) !== 'current') continue;
          tries.set(n, (sent[n]?.to('/feed') ?? 0) - triesAtMost(performance.now() - back));
        }
        return tries.size;
      },
      (current) => current === guards.length,
    );
  } finally {
    isOver = true;
    await load;
  }
  assert.ok(
    [...tries.values()].every((tooMany) => tooMany <= 0),
    `too many: ${[...tries.values()]}`,
  );
  for (const { most } of sent) {
    assert.ok(
      most('/introspect') > 0 && most('/introspect') <= questionsAtOnce,
      `${most('/introspect')} questions at once`,
    );
  }
  const first = (callers[0] as (typeof callers)[number]).request;
  for (const guard of guards) {
    await until(
      () => statusOf(guard, first),
      (status) => status === 200,
      () => pause(paceMs),
    );
  }
});

/** Counts what one guard sends that arrives. */
function requests() {
  const counts = new Map<string, number>();
  const [now, most] = [new Map<string, number>(), new Map<string, number>()];
  const kind = (url: string) => /\/(introspect|feed)\b/.exec(url)?.[0] ?? url;
  const add = (map: Map<string, number>, key: string, by: number) => {
    const value = (map.get(key) ?? 0) + by;
    map.set(key, value);
    return value;
  };
  const counted: typeof fetch = async (input, init) => {
    const url = new URL(String(input)).pathname;
    const key = kind(url);
    most.set(key, Math.max(most.get(key) ?? 0, add(now, key, 1)));
    try {
      const response = await fetch(input, init);
      add(counts, key, 1);
      return response;
    } finally {
      add(now, key, -1);
    }
  };
  return {
    fetch: counted,
    to: (key: string) => counts.get(key) ?? 0,
    most: (key: string) => most.get(key) ?? 0,
    forget() {
      counts.clear();
      most.clear();
    },
  };
}
