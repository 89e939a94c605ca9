/** `bailiwick resources update --transactions-to`: where calls that begin at a resource go on by transaction tokens. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';

let server: TestServer;
let cli: CommandLine;
before(async () => {
  server = await startServer({ database: 'sqlite' });
  cli = commandLine(server);
});
after(async () => {
  cli.close();
  await server.close();
});

test('resources are named, one more leaves the others, and each is taken away by name', async () => {
  const ids: string[] = [];
  for (const name of ['desk', 'stock', 'ledger']) {
    const made = await cli.json<{ id: string }>('resources', 'create', `https://${name}.example/api`, '--name', name);
    ids.push(made.id);
  }
  const [, stock, ledger] = ids as [string, string, string];
  const update = async (...options: string[]) => {
    const { token } = await cli.json<{ token: Record<string, unknown> }>('resources', 'update', 'desk', ...options);
    return token;
  };
  assert.deepEqual((await update('--transactions-to', 'stock', '--lifetime', '300')).transactions, [stock]);
  const both = await update('--transactions-to', 'https://ledger.example/api');
  assert.deepEqual([both.transactions, both.lifetime_seconds], [[stock, ledger], 300]);
  assert.deepEqual((await update('--no-transactions-to', 'stock')).transactions, [ledger]);
  assert.deepEqual((await update('--no-transactions-to', 'ledger')).transactions, []);
});
