import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createGuard } from '../index.ts';
import { fakeAgent, fakeIssuer, quiet } from '../testing/fake-issuer.ts';

function listening(server: Server, port: number): Promise<{ close(): Promise<void> }> {
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => resolve({ close: () => new Promise((done) => server.close(() => done())) }));
  });
}

for (const started of [false, true]) {
  test(`guard.node: a route that fails ${started ? 'in the middle of' : 'before'} its answer says nothing of why`, async (context) => {
    const fake = await fakeIssuer();
    const runtime = quiet(fake);
    const agent = await fakeAgent(fake);
    const guard = createGuard(fake.options({ runtime }));
    const handler = guard.node(async (_, response) => {
      if (started) response.writeHead(200, { 'content-length': 100 }).write('half');
      throw new Error('secret');
    });
    const server = createServer(handler);
    const { close } = await listening(server, 0);
    context.after(close);
    const { port } = server.address() as AddressInfo;
    const { headers } = await agent.request();
    const answer = fetch(`http://127.0.0.1:${port}/v1/tickets`, {
      headers: { authorization: headers.authorization![0]!, dpop: headers.dpop![0]! },
    }).then(async (response) => `${response.status} ${await response.text()}`);
    if (started) await assert.rejects(answer, 'cut off, so that half an answer is not taken for a whole one');
    else assert.match(await answer, /^500 (?!.*secret)/);
    assert.match(runtime.problems.join(), /The route failed: Error: secret/);
  });
}
