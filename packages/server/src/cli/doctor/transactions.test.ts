/** What the doctor says of where transactions begin, and where they may come to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandLine } from '../../testing/command-line.ts';
import { exchangeScene } from '../../testing/exchange.ts';
import { startServer } from '../../testing/harness.ts';
import { transactionScene } from '../../testing/transactions.ts';
import type { Finding } from './finding.ts';

test('a service that is retired, and an API where nobody answers, are told with what to do', async (t) => {
  const server = await startServer({ database: 'sqlite' });
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  const { front, stock } = await transactionScene(server, await exchangeScene(server));
  const { name } = await server.admin<{ name: string }>('GET', `/resources/${front.id}`);
  const said = async () => {
    const { findings } = JSON.parse((await cli('doctor', '--json')).out) as { findings: Finding[] };
    return findings.filter(({ check }) => check === 'transactions').map(({ status, message }) => [status, message]);
  };
  assert.deepEqual(await said(), []);
  await server.admin('PATCH', `/resources/${front.id}`, { served_by: [] });
  const nobody = ['warn', `Nobody answers there who could ask for their tokens: ${name}.`];
  assert.deepEqual(await said(), [nobody]);
  await server.admin('POST', `/resources/${stock.id}/retire`, {});
  const nowhere = ['warn', `Those that begin there may come to resources that are retired: ${name}.`];
  assert.deepEqual(await said(), [nowhere, nobody]);

  const { code } = await cli('resources', 'update', front.id, '--no-transactions-to', stock.id);
  assert.equal(code, 0);
  assert.deepEqual(await said(), [nobody]);
});
