import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { makeAuthority } from '../../testing/certificates.ts';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';
import type { TrustDomain } from '../registry.ts';

const nobody = 'https://localhost:1/spiffe/bundle';

/** A bundle with one new authority. */
async function bundle(sequence: number) {
  const { der, key } = await makeAuthority('CN=Partner');
  const { d: _, ...jwk } = createPrivateKey(key).export({ format: 'jwk' });
  return JSON.stringify({
    keys: [{ ...jwk, use: 'x509-svid', x5c: [der.toString('base64')] }],
    spiffe_sequence: sequence,
  });
}

describe('apply, of trust domains,', () => {
  let server: TestServer;
  let cli: CommandLine;
  before(async () => {
    server = await startServer();
    cli = commandLine(server);
    cli.write('one.json', await bundle(1));
    cli.write('two.json', await bundle(2));
  });
  after(async () => {
    cli.close();
    await server.close();
  });

  /** Applies it, and answers what it changed; a second time it changes nothing. */
  async function applied(fleet: string): Promise<string[]> {
    cli.write('fleet.yaml', fleet);
    const { changes } = await cli.json<{
      changes: { action: string; noun: string; name: string; fields: { field: string }[] }[];
    }>(...['apply', '-f', 'fleet.yaml', '--yes']);
    const again = await cli('apply', '-f', 'fleet.yaml', '--dry-run');
    assert.equal(again.code, 0, again.out);
    return changes.map(({ action, noun, name, fields }) =>
      [action, noun, name, ...fields.map(({ field }) => field)].join(' '),
    );
  }

  const shown = (name: string) => cli.json<TrustDomain>('trust-domains', 'show', name);

  test('registers them before the agents that stand for their identities, and changes what differs', async () => {
    const agents = `
agents:
  visitor: { owner: team:operators, credentials: [{ spiffe_id: spiffe://partner.example/desk/* }] }
`;
    assert.deepEqual(await applied(`trust_domains: { partner.example: { bundle: one.json } }${agents}`), [
      'create trust_domain partner.example authorities',
      'create agent visitor owner',
      'create credential spiffe://partner.example/desk/*',
    ]);
    assert.equal((await shown('partner.example')).bundle?.sequence, 1);
    assert.deepEqual(await applied(`trust_domains: { partner.example: { bundle: two.json } }${agents}`), [
      'update trust_domain partner.example authorities',
    ]);
    assert.equal((await shown('partner.example')).bundle?.sequence, 2);

    const endpoint = `{ url: ${nobody}, spiffe_id: spiffe://partner.example/bundles, bundle: one.json }`;
    assert.deepEqual(await applied(`trust_domains: { partner.example: ${endpoint} }${agents}`), [
      'update trust_domain partner.example url profile spiffe_id',
    ]);
    const spiffe = await shown('partner.example');
    assert.equal(spiffe.bundle_endpoint?.profile, 'https_spiffe');
    assert.equal(spiffe.bundle?.sequence, 2, 'what a file remembers is older than what is known');
    assert.deepEqual(await applied(`trust_domains: { partner.example: { url: ${nobody} } }${agents}`), [
      'update trust_domain partner.example profile',
    ]);
    assert.deepEqual((await shown('partner.example')).bundle_endpoint, { url: nobody, profile: 'https_web' });
    assert.deepEqual(await applied(agents), [], 'a file that says nothing of it leaves it alone');
  });

  const mistakes: [what: string, fleet: string, says: RegExp][] = [
    [
      'a SPIFFE ID of a trust domain that nobody knows',
      'agents: { a: { owner: team:operators, credentials: [{ spiffe_id: spiffe://other.example/x }] } }',
      /agents\.a\.credentials\.0 names the trust domain other\.example, which is not registered/,
    ],
    [
      'a bundle that is not there',
      'trust_domains: { a.example: { bundle: none.json } }',
      /trust_domains\.a\.example\.bundle can't be used: ENOENT/,
    ],
    ['a bundle that is none', 'trust_domains: { a.example: { bundle: fleet.yaml } }', /bundle can't be used: .*JSON/],
    [
      'nothing to go by',
      'trust_domains: { a.example: { spiffe_id: spiffe://a.example/b } }',
      /must have the url of its bundle/,
    ],
    ['a name that is none', 'trust_domains: { A.example: { url: https://a.example } }', /name of a trust domain/],
  ];
  for (const [what, fleet, says] of mistakes) {
    test(`refuses ${what}`, async () => {
      cli.write('fleet.yaml', fleet);
      const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
      assert.equal(code, exitCodes.usage.code);
      assert.match(err, says);
    });
  }
});
