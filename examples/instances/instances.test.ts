/** The programs of docs/guides/instances.md, against a real server and the ticket API. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { systemTool } from '../../packages/server/src/testing/system-tool.ts';
import { type Stage, setStage } from '../tickets/stage.ts';

const run = promisify(execFile);
const flags = process.execArgv.filter((flag) => flag.startsWith('--conditions'));
const openssl = systemTool('openssl');

let stage: Stage;
before(async () => {
  stage = await setStage();
});
after(() => stage?.close());

test('an instance and its child, in a process that is given a token and nothing else', {
  timeout: 60_000,
}, async () => {
  const body = { agent: stage.triage.clientId, kind: 'enrolment_token' };
  const { secret } = await stage.admin<{ secret: string }>('POST', '/credentials', body);
  const env = { BAILIWICK_ISSUER: stage.issuer, BAILIWICK_ENROLMENT_TOKEN: secret };
  const { stdout } = await run(process.execPath, [...flags, file('team.ts'), stage.api], { env });
  assert.match(
    stdout,
    /^I am spiffe:\/\/\S+\.\nTickets: 200\nThe reader: 200 for reading, 403 for closing\.\nA JWT-SVID of 3 parts\.\nAfterwards: instance_ended\n$/,
  );
});

test('an agent with a certificate that it made itself', {
  timeout: 60_000,
  skip: 'skip' in openssl && openssl.skip,
}, async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-certificate-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const guide = readFileSync(path.join(import.meta.dirname, '../../docs/guides/instances.md'), 'utf8');
  const command = /^openssl (?:.*\\\n)*.*$/m.exec(guide)?.[0] ?? assert.fail('the guide makes no certificate');
  await run('bash', ['-c', command], { cwd: folder });
  const certificate = readFileSync(path.join(folder, 'agent.crt'), 'utf8');
  const agent = stage.triage.clientId;
  await stage.admin('POST', '/credentials', { agent, kind: 'certificate', certificate });
  const words = [...flags, file('certificate.ts'), stage.issuer, agent, stage.api];
  const { stdout } = await run(process.execPath, words, { cwd: folder });
  assert.equal(stdout, 'A Bearer token for tickets:read,tickets:write, bound to the certificate.\n');
});

const file = (name: string) => path.join(import.meta.dirname, name);
