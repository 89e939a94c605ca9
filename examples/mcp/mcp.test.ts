/** The guide docs/guides/protect-an-mcp-server.md: its commands, with the official client and server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSetting, openGuide } from '../guide.ts';

test('from nothing to a bound token, as the guide says', { timeout: 120_000 }, async (context) => {
  const { lines, run, begin } = await openGuide(context, {
    page: 'protect-an-mcp-server.md',
    example: 'mcp',
    ports: [3000, 4000],
  });
  assert.ok(lines.filter((line) => !isSetting(line)).length < 10, 'under ten lines');

  let said = '';
  for (const line of lines) {
    if (/ (?:server|api)\.ts$/.test(line)) await begin(line, /The tools are/);
    else said = await run(line);
  }
  assert.match(
    said,
    /^I may call: read_ticket\nread_ticket: Ticket 7: the printer is on fire\.\nclose_ticket: Ticket 7 was closed by agt_\w+\.\nwipe: refused\. This resource does not list this tool, and refuses what it does not list\.\n$/,
  );
});
