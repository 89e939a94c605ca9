/** Killed while revocations are ordered, and started again: what was answered holds. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { databases } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { cutOff, killableServer } from '../testing/killed.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`a server that is killed while it revokes, on ${database}`, () => {
    test('every revocation that was answered holds after the restart, with its event, once', async (t) => {
      const killable = await killableServer(t, database);
      const { server } = killable;
      const client = await tokenClient(server);
      const tokens: string[] = [];
      for (let i = 0; i < 40; i++) tokens.push(String((await client.send()).body.access_token));
      const order = (token: string) => () =>
        server.admin<{ rev: number }>('POST', '/revocations', { token, reason: 'a test' });
      const answered = await cutOff(killable, 12, tokens.map(order));
      await killable.startAgain();
      const { introspect } = instanceClient(server, client);
      const { items } = await server.admin<{ items: { rev: number; subject: string }[] }>(
        'GET',
        '/revocations?kind=token&limit=200',
      );
      const { items: events } = await server.admin<{ items: { target: string }[] }>(
        'GET',
        '/events?type=token.revoked&limit=200',
      );
      for (const [place, token] of tokens.entries()) {
        const { jti } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string };
        const rev = items.find(({ subject }) => subject === jti)?.rev;
        const answer = answered.get(place);
        if (answer) assert.equal(rev, answer.rev, 'what was answered is there, by its number');
        assert.equal((await introspect(token)).active, rev === undefined, 'alive, or revoked: never in between');
        assert.equal(events.filter(({ target }) => target === jti).length, rev === undefined ? 0 : 1);
      }
    });
  });
}
