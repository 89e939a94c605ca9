/** Where transactions may come to, as a file says it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandLine } from '../../testing/command-line.ts';
import { startServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';

const inside = 'transactions: [stock, https://ledger.example.com]';
const fleet = `
resources:
  front: { identifier: https://front.example.com, token: { lifetime_seconds: 300, ${inside} } }
  stock: { identifier: https://stock.example.com }
  ledger: { identifier: https://ledger.example.com }
`;

test('token.transactions names resources, be they new, and is the whole of it', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  type Shown = { id: string; token: { transactions?: string[]; lifetime_seconds?: number } };
  const shown = (name: string) => cli.json<Shown>('resources', 'show', name);
  const apply = async (text: string) => {
    cli.write('fleet.yaml', text);
    const { code, out, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
    assert.equal(code, 0, err);
    assert.match((await cli('apply', '-f', 'fleet.yaml', '--dry-run')).out, /^Nothing to change/);
    return out;
  };
  assert.match(await apply(fleet), /~ resource front\n {4}transactions:\n {6}\+ ledger\n {6}\+ stock\n/);
  const [{ id: stock }, { id: ledger }] = [await shown('stock'), await shown('ledger')];
  const of = async (name: string) => {
    const { transactions, lifetime_seconds } = (await shown(name)).token;
    return [transactions?.toSorted(), lifetime_seconds];
  };
  assert.deepEqual(await of('front'), [[stock, ledger].toSorted(), 300]);

  assert.match(await apply(fleet.replace(/, token: {.*}(?= })/, '')), /^Nothing to change/);
  const less = await apply(fleet.replace(inside, `transactions: [${ledger}]`).replace('300', '200'));
  assert.match(less, /\+ lifetime_seconds: 200\n~ resource front\n {4}transactions:\n {6}- stock\n/);
  assert.deepEqual(await of('front'), [[ledger], 200]);
  await apply(fleet.replace(`, ${inside}`, ''));
  assert.deepEqual(await of('front'), [[], 300], 'a token that is described without them has none');

  const one = 'identifier: https://one.example.com\ntoken: { lifetime_seconds: 100, transactions: [stock] }\n';
  cli.write('one.yaml', one);
  await cli.json('resources', 'create', '--name', 'one', '-f', 'one.yaml');
  assert.deepEqual(await of('one'), [[stock], 100]);
  await cli.json('resources', 'update', 'one', '-f', 'one.yaml', '--transactions-to', 'ledger', '--lifetime', '90');
  assert.deepEqual(await of('one'), [[stock, ledger].toSorted(), 90]);

  for (const [names, says] of [
    ['stok', 'names "stok", and there is no resource .*Did you mean "stock"'],
    ['front', 'names the resource itself'],
  ]) {
    cli.write('fleet.yaml', fleet.replace('[stock', `[${names}`));
    const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
    assert.equal(code, exitCodes.usage.code);
    assert.match(err, new RegExp(`line 3: resources\\.front\\.token\\.transactions\\.0 ${says}`));
  }
});
