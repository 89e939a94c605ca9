/** One policy of the gallery, as an agent meets it: whatever way it asks for the same thing. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from '../../packages/server/src/testing/harness.ts';
import { type TokenClient, tokenClient } from '../../packages/server/src/testing/token-client.ts';

const hour = 3_600_000;
const text = readFileSync(path.join(import.meta.dirname, 'night-time-bulk-export.cedar'), 'utf8');

for (const database of databases) {
  describe(`bulk export at night (${database})`, () => {
    let server: TestServer;
    let client: TokenClient;

    before(async () => {
      server = await startServer({ database });
      client = await tokenClient(server);
      const ours = text.replace('https://crm.example.com/api', client.identifier).replace('crm:export', 'tickets:read');
      await server.admin('POST', '/policies', { name: 'night', text: ours, reason: 'a test' });
    });
    after(() => server.close());

    const named = { authorization_details: JSON.stringify([{ type: 'operation', actions: ['read'] }]) };
    const roads: [how: string, parameters: Record<string, string>][] = [
      ['by its scope', { scope: 'tickets:read' }],
      ['by naming the operation', named],
      ['by both', { ...named, scope: 'tickets:write' }],
    ];
    for (const [how, parameters] of roads) {
      test(`${how}: by day, and not at night`, async () => {
        server.clock.advance(((24 + 12 - new Date(server.clock.now()).getUTCHours()) % 24) * hour); // noon
        const day = await client.send(parameters);
        assert.equal(day.status, 200, JSON.stringify(day.body));
        server.clock.advance(11 * hour);
        const night = await client.send(parameters);
        assert.equal(night.body.error, 'access_denied');
        assert.match(night.body.error_description as string, /Bulk export is for the day/);
        assert.equal((await client.send({ scope: 'tickets:write' })).status, 200, 'the rest goes on');
      });
    }
  });
}
