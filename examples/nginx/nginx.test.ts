/** The guide docs/guides/a-service-behind-nginx.md: its commands, with a real nginx. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { systemTool } from '../../packages/server/src/testing/system-tool.ts';
import { isSetting, openGuide } from '../guide.ts';

const nginx = systemTool('nginx');
const openssl = systemTool('openssl');
const skip = ('skip' in nginx && nginx.skip) || ('skip' in openssl && openssl.skip);

test('from nothing to a bound token, as the guide says', { timeout: 120_000, skip }, async (context) => {
  const guide = await openGuide(context, {
    page: 'a-service-behind-nginx.md',
    example: 'nginx',
    ports: [8443, 3080],
  });
  const { lines, run, begin, folder } = guide;
  assert.ok(lines.filter((line) => !isSetting(line)).length < 10, 'under ten lines');

  let said = '';
  for (const line of lines) {
    if (line.endsWith(' api.ts')) await begin(line, /guarded/);
    else said = await run(line);
    if (line.startsWith('nginx')) guide.finally(() => run(`${line} -s stop`));
  }
  assert.match(said, /^200 Hello ins_\w+, bound by certificate\.\n\n$/);

  // the API behind nginx takes that token from nobody else
  const text = readFileSync(path.join(folder, 'agent.ts'), 'utf8');
  const url = /https:\/\/localhost:\d+\/weather/.exec(text)?.[0] ?? assert.fail('the agent calls nothing');
  const ca = readFileSync(path.join(folder, 'nginx.crt'), 'utf8');
  assert.equal(new X509Certificate(ca).subjectAltName, 'DNS:localhost');
  const forged = { 'client-cert': `:${new X509Certificate(ca).raw.toString('base64')}:` };
  assert.equal(await statusOf(url, { ca, headers: forged }), 401);
  assert.equal(await statusOf(new URL('/.well-known/oauth-protected-resource', url).href, { ca }), 200);
  const stranger = { ca, cert: ca, key: readFileSync(path.join(folder, 'nginx.key')) };
  assert.equal(await statusOf(url, stranger), 400, 'nginx knows the certificate of nobody else');
});

function statusOf(url: string, options: object): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false, ...options }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    })
      .on('error', reject)
      .end();
  });
}
