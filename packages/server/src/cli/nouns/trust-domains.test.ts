import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';
import type { TrustDomain } from '../registry.ts';

const nobody = 'https://localhost:1/spiffe/bundle';
const endpointId = 'spiffe://partner.example/bundles';

describe('trust domains, at the command line', () => {
  let server: TestServer;
  let cli: CommandLine;
  before(async () => {
    server = await startServer();
    cli = commandLine(server);
    cli.write('empty.json', JSON.stringify({ keys: [], spiffe_sequence: 7 }));
  });
  after(async () => {
    cli.close();
    await server.close();
  });

  const finding = async () => {
    const { out } = await cli('doctor', '--json');
    const { findings } = JSON.parse(out) as { findings: { check: string; status: string; message: string }[] };
    return findings.find(({ check }) => check === 'trust domains');
  };

  test('are registered, shown, changed and removed', async () => {
    assert.match((await cli('trust-domains', 'list')).out, /No foreign trust domains/);
    assert.equal(await finding(), undefined);

    const byHand = await cli('trust-domains', 'create', 'static.example', '--bundle', 'empty.json');
    assert.equal(byHand.code, 0, byHand.err);
    assert.match(byHand.out, /static\.example \(trd_\w+\) are accepted .* Its bundle is there\./);
    assert.equal((await finding())?.status, 'ok');

    const created = await cli(
      ...[
        'trust-domains',
        'create',
        'partner.example',
        '--url',
        nobody,
        '--spiffe-id',
        endpointId,
        '--bundle',
        'empty.json',
      ],
    );
    assert.match(created.out, /could not be fetched, which is tried again: localhost:1 can't be connected to/);
    assert.equal((await finding())?.status, 'warn');
    const shown = await cli('trust-domains', 'show', 'partner.example');
    for (const word of [nobody, 'https_spiffe', endpointId, 'current', 'believed until', 'number']) {
      assert.ok(shown.out.includes(word), word);
    }

    server.clock.advance(25 * 3600_000);
    const stale = await finding();
    assert.equal(stale?.status, 'fail');
    assert.match(stale?.message ?? '', /partner\.example \(localhost:1/);
    assert.doesNotMatch(stale?.message ?? '', /static/);
    assert.match((await cli('trust-domains', 'list')).out, /partner\.example\s+stale/);

    const refreshed = await cli('trust-domains', 'refresh', 'partner.example', '--json');
    assert.equal(refreshed.code, exitCodes.failed.code, 'nothing was fetched');
    assert.equal((JSON.parse(refreshed.out) as TrustDomain).status, 'stale');
    assert.match(refreshed.err, /could be fetched: [\s\S]*--bundle FILE/);
    const web = await cli.json<TrustDomain>(
      'trust-domains',
      'update',
      'partner.example',
      '--web',
      '--bundle',
      'empty.json',
    );
    assert.deepEqual(web.bundle_endpoint, { url: nobody, profile: 'https_web' });
    assert.equal(web.status, 'current');

    const removed = await cli('trust-domains', 'remove', 'partner.example', '--yes');
    assert.equal(removed.code, 0, removed.err);
    const { items } = await cli.json<{ items: TrustDomain[] }>('trust-domains', 'list');
    assert.deepEqual(
      items.map(({ name }) => name),
      ['static.example'],
    );
  });

  const mistakes: [what: string, argv: string[], says: RegExp][] = [
    [
      'a file that is not there',
      ['create', 'a.example', '--bundle', 'none.json'],
      /none\.json can't be read \(ENOENT\)/,
    ],
    ['a file that is no JSON', ['create', 'a.example', '--bundle', 'text.json'], /text\.json is not JSON/],
    ['plain http', ['create', 'a.example', '--url', 'http://a.example'], /must begin with https/],
    ['nothing to go by', ['create', 'a.example'], /Say where its bundle is/],
    ['nothing to change', ['update', 'static.example'], /Nothing to change was named/],
    [
      'a trust domain that is not there',
      ['show', 'statics.example'],
      /There is no trust domain "statics\.example".*static\.example/,
    ],
    ['a refresh of what has no endpoint', ['refresh', 'static.example'], /was given by hand/],
  ];
  for (const [what, argv, says] of mistakes) {
    test(`${what} is told`, async () => {
      cli.write('text.json', 'not JSON');
      const { code, err } = await cli('trust-domains', ...argv);
      assert.notEqual(code, exitCodes.ok.code);
      assert.match(err, says);
    });
  }
});
