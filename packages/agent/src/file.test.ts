import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, suite, test } from 'node:test';
import { inspect } from 'node:util';
import { agentFromFile } from './index.ts';
import { api, clientId, createWorld, issuer, jwk } from './testing.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-agent-'));
after(() => rmSync(folder, { recursive: true }));

function fileWith(name: string, text: string, mode = 0o600): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

const good = JSON.stringify({ issuer, client_id: clientId, jwk });

suite('agentFromFile', () => {
  test('makes an agent of issuer, client_id and jwk', async () => {
    const world = createWorld();
    const { fetch, now } = world.options;
    const agent = agentFromFile(fileWith('agent.json', good), { fetch, now });
    assert.equal(agent.clientId, clientId);
    assert.equal((await agent.fetch(api)).status, 200);
  });

  const broken: [name: string, text: string][] = [
    ['that is cut off', good.slice(0, -30)],
    ['with text around', `x${good}`],
    ['that is empty', ''],
    ['that is a list', '[]'],
    ['without an issuer', JSON.stringify({ client_id: clientId, jwk })],
    ['without a client id', JSON.stringify({ issuer, jwk })],
    ['with a jwk that is text', JSON.stringify({ issuer, client_id: clientId, jwk: jwk.d })],
  ];
  for (const [name, text] of broken) {
    test(`refuses one ${name}, and quotes nothing of it`, () => {
      const file = fileWith(`${name}.json`, text);
      try {
        agentFromFile(file);
        assert.fail('nothing was thrown');
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'bad_file');
        assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(jwk.d.slice(0, 8)));
      }
    });
  }

  test('says that there is none', () => {
    assert.throws(() => agentFromFile(path.join(folder, 'none.json')), { code: 'bad_file', message: /ENOENT/ });
  });

  test('warns when others may read it', { skip: process.platform === 'win32' }, async () => {
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
    agentFromFile(fileWith('open.json', good, 0o644));
    const warning = await warned;
    assert.equal((warning as { code?: string }).code, 'BAILIWICK_OPEN_FILE');
    assert.match(warning.message, /chmod 600/);
  });
});
