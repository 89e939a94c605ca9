/** The tail of the log over HTTP, in a test. */
import assert from 'node:assert/strict';
import type { AdminClient } from './admin-client.ts';
import type { TestServer } from './harness.ts';

/** A stream that is being read. Time goes on while one waits for it. */
export async function openTail(server: TestServer, who: AdminClient, query: string, lastEventId?: string) {
  const url = `${server.issuer}/admin/v1/events/tail${query}`;
  const accessToken = await who.token();
  const stop = new AbortController();
  const response = await fetch(url, {
    signal: stop.signal,
    headers: {
      authorization: `DPoP ${accessToken}`,
      dpop: await who.proof({ htm: 'GET', htu: url.split('?')[0] as string, accessToken }),
      ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
    },
  });
  assert.equal(response.status, 200);
  let text = '';
  const reading = (async () => {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
  })().catch(() => undefined);
  return {
    text: () => text,
    async until(found: (text: string) => boolean) {
      for (let turn = 0; !found(text); turn += 1) {
        if (turn % 100 === 0) server.clock.advance(500);
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    close() {
      stop.abort();
      void reading;
    },
  };
}
