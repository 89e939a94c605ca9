import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tidy } from '../jobs.ts';
import type { Logger } from '../lib/log.ts';
import { startServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { countFailure, logFailures, newFailures } from './failures.ts';

const assertionOf = async (client: TokenClient) => String((await client.form()).client_assertion).split('.');

function recorder() {
  const lines: { details: Record<string, unknown>; message: string }[] = [];
  const write = (details: object, message: string) => {
    lines.push({ details: details as Record<string, unknown>, message });
  };
  const log: Logger = { debug: write, info: write, warn: write, error: write };
  return { lines, log };
}

test('failed authentication is counted by address and reason, logged once a minute, and never written', async () => {
  const { lines, log } = recorder();
  const server = await startServer({ log });
  try {
    const client = await tokenClient(server);
    const other = await tokenClient(server);
    const events = async () => (await server.deps.db.get<{ n: number }>('select count(*) as n from events'))?.n;
    const before = await events();
    for (let i = 0; i < 3; i++) {
      const [header, , signature] = await assertionOf(other);
      const [, claims] = await assertionOf(client);
      const answer = await client.send({ client_assertion: `${header}.${claims}.${signature}` });
      assert.equal(answer.status, 401);
    }
    assert.equal((await client.send({ client_assertion: 'no assertion' })).status, 401);
    assert.equal(await events(), before, 'nobody can make us write a line per packet');
    assert.equal(lines.length, 0);
    await tidy(server.deps);
    const counted = lines.map(({ details }) => [details.reason, details.count]);
    // and not that the operator's SDK asked the admin API, without a token, where its tokens come from
    assert.deepEqual(counted, [
      ['no such key', 3],
      ['assertion malformed', 1],
    ]);
    assert.ok(!JSON.stringify(lines).includes('no assertion'), 'what was sent is not in the log');
    await tidy(server.deps);
    assert.equal(lines.length, 2, 'the minute after has nothing to say');
  } finally {
    await server.close();
  }
});

test('failures from ever new addresses take no more memory than there is, and are counted all the same', () => {
  const { lines, log } = recorder();
  const failures = newFailures();
  for (let i = 0; i < 10_050; i++) countFailure(failures, `2001:db8::${i.toString(16)}`, 'bad signature');
  assert.equal(failures.counts.size, 10_000);
  logFailures(failures, log);
  assert.equal(lines.at(-1)?.details.count, 50);
});

test('what has expired is forgotten, and what has not stays spent', async () => {
  const server = await startServer();
  try {
    const client = await tokenClient(server);
    const spent = async () => (await server.deps.db.get<{ n: number }>('select count(*) as n from spent'))?.n as number;
    const send = await client.prepared();
    assert.equal((await send()).status, 200);
    assert.ok((await spent()) >= 2);
    await tidy(server.deps);
    assert.equal((await send()).status, 401);
    server.clock.advance(10 * 60_000);
    await tidy(server.deps);
    assert.equal(await spent(), 0);
    assert.equal((await send()).body.error, 'use_dpop_nonce', 'by now for its age');
  } finally {
    await server.close();
  }
});
