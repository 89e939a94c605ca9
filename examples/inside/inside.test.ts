/** The guide docs/guides/inside-the-domain.md: its commands, in their order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openGuide } from '../guide.ts';

test('a call from outside goes on inside, and the token that it came with does not, as the guide says', {
  timeout: 240_000,
}, async (context) => {
  const { lines, run, begin } = await openGuide(context, {
    page: 'inside-the-domain.md',
    example: 'inside',
    ports: [3091, 3092],
    part: 'From a call outside to a service inside',
  });
  let agent = '';
  let said = '';
  for (const line of lines) {
    if (line.includes('stock.ts') || line.includes('api.ts')) await begin(line, /guarded/);
    else said = await run(line);
    if (line.includes('agent.ts')) agent = said;
  }
  const [ordered, past] = agent.split('\n');
  assert.equal(ordered, 'Ordered: 200 {"reserved":"tea","for":"shopper","saysSo":["shop"]}');
  assert.match(
    past ?? '',
    /^Past the shop: 400\. Inside of the trust domain .* no access token: exchange it at the edge\.$/,
  );
  assert.match(said, /True at every guard after \d+ ms/);
  const after = await run('node ../../scripts/run.mjs agent.ts').catch((error: Error) => error.message);
  assert.match(after, /answered 40[01] (?:unauthorized_client|invalid_client)/);
});
