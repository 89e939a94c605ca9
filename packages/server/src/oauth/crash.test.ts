/** Killed under load, and started again: what was answered holds, and nothing counts twice. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { databases } from '../testing/harness.ts';
import { cutOff, killableServer } from '../testing/killed.ts';
import { allPages } from '../testing/pages.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`a server that is killed, on ${database}`, () => {
    test('keeps every answer it gave, and lets nothing be spent twice', async (t) => {
      const killable = await killableServer(t, database);
      const { server } = killable;
      const client = await tokenClient(server);
      const rounds = 3;
      const each = 60;
      const issued = new Set<string>();
      for (let round = 0; round < rounds; round++) {
        const requests = await Promise.all(Array.from({ length: each }, () => client.prepared()));
        const answers = await cutOff(killable, (round + 1) * 10, requests);
        await killable.startAgain();
        const again = await Promise.all(requests.map((send) => send()));
        for (const [i, { status, body }] of again.entries()) {
          const first = answers.get(i);
          if (first) {
            assert.equal(first.status, 200, JSON.stringify(first.body));
            assert.equal(status, 401, 'what was answered before stays spent');
            issued.add(jtiIn(first.body));
          } else if (status === 200) issued.add(jtiIn(body));
          else assert.equal(status, 401, `it was spent just before the end: ${JSON.stringify(body)}`);
        }
      }
      const events = await allPages<{ jti: string }>(server, `/events?agent=${client.clientId}&type=token.issued`);
      const recorded = events.map(({ jti }) => jti);
      assert.equal(recorded.length, rounds * each, 'one event for each request, whenever it was cut off');
      assert.equal(new Set(recorded).size, recorded.length);
      for (const jti of issued) assert.ok(recorded.includes(jti), 'a token that was answered stands in the log');
    });
  });
}

function jtiIn(body: Record<string, unknown>): string {
  const payload = String(body.access_token).split('.')[1] as string;
  return JSON.parse(Buffer.from(payload, 'base64url').toString()).jti;
}
