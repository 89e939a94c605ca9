/** What can't be made an exporter, whatever it would send. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

for (const database of databases) {
  describe(`exporters that are refused, on ${database}`, () => {
    let server: TestServer;
    let operator: AdminClient;
    const directory = mkdtempSync(path.join(tmpdir(), 'bailiwick-exports-'));
    before(async () => {
      server = await startServer({ database, config: { exports: { directory } } });
      operator = adminClient(server, server.operator);
    });
    after(async () => {
      await server.close();
      rmSync(directory, { recursive: true });
    });

    const file = { kind: 'file' };
    const hook = { kind: 'webhook', url: 'https://siem.example.com/x' };
    const syslog = { kind: 'syslog', host: 'log.example.com' };
    for (const [what, body, status] of [
      ['a name that is a path', { name: '../../etc/cron.d/x', target: file }, 400],
      ['a path for a file', { name: 'p', target: { ...file, path: '/etc/cron.d/x' } }, 400],
      ['a format that nobody has', { name: 'p', target: { ...file, format: 'xml' } }, 400],
      ['files of a byte', { name: 'p', target: { ...file, max_bytes: 1 } }, 400],
      ['plain http', { name: 'p', target: { ...hook, url: 'http://siem.example.com/x' } }, 400],
      ['a user name in a URL', { name: 'p', target: { ...hook, url: 'https://a:b@siem.example.com/x' } }, 400],
      ['a short secret', { name: 'p', target: { ...hook, secret: 'whsec_YWJj' } }, 400],
      ['CEF by webhook', { name: 'p', target: { ...hook, format: 'cef' } }, 400],
      ['a header that we set', { name: 'p', target: { kind: 'otlp', url: hook.url, headers: { Host: 'x' } } }, 400],
      [
        'a header with a line break',
        { name: 'p', target: { kind: 'otlp', url: hook.url, headers: { a: 'b\r\nc: d' } } },
        400,
      ],
      ['a host that is a URL', { name: 'p', target: { ...syslog, host: 'https://log.example.com' } }, 400],
      ['an authority that is none', { name: 'p', target: { ...syslog, ca: 'rubbish' } }, 422],
      ['a key without its certificate', { name: 'p', target: { ...syslog, key: 'rubbish' } }, 422],
      ['a certificate without its key', { name: 'p', target: { ...syslog, certificate: 'rubbish' } }, 422],
      ['a type of event that nobody has', { name: 'p', target: file, types: ['moon.landed'] }, 400],
      ['a kind that nobody has', { name: 'p', target: { kind: 'ftp' } }, 400],
      ['nothing', {}, 400],
    ] as const) {
      test(`refuses ${what}`, async () => {
        assert.equal((await operator.call('POST', '/exporters', body)).status, status);
      });
    }

    test('refuses a name that is taken, and another kind of target', async () => {
      const made = await operator.ok('POST', '/exporters', { name: 'taken', target: file });
      assert.equal((await operator.call('POST', '/exporters', { name: made.name, target: file })).status, 409);
      assert.equal((await operator.call('PATCH', `/exporters/${made.id}`, { target: hook })).status, 409);
    });
  });
}

describe('exporters, where nothing is configured', () => {
  test('write no files, and reach nothing that is not public', async () => {
    const server = await startServer({
      config: { issuer: 'http://localhost:0' },
      resolve: async () => [{ address: '10.0.0.7', family: 4 }],
    });
    try {
      const operator = adminClient(server, server.operator);
      const refused = await operator.call('POST', '/exporters', { name: 'f', target: { kind: 'file' } });
      assert.equal(refused.status, 422);
      assert.match(refused.text, /exports\.directory is not configured/);
      for (const target of [
        { kind: 'syslog', host: 'log.example.com' },
        { kind: 'webhook', url: 'https://log.example.com/' },
      ]) {
        const { id } = await operator.ok('POST', '/exporters', { name: target.kind, target });
        const { fault } = await operator.ok('POST', `/exporters/${id}/test`, {});
        assert.match(fault, /leads to an address that is not public/);
      }
    } finally {
      await server.close();
    }
  });
});
