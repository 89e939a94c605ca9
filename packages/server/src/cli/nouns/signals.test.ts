import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { signalReceiver } from '../../testing/signal-receiver.ts';

describe('signals, at the command line', () => {
  let server: TestServer;
  let cli: CommandLine;
  before(async () => {
    server = await startServer({ config: { signals: { signing_alg: 'ES256' } } });
    cli = commandLine(server);
  });
  after(async () => {
    cli.close();
    await server.close();
  });
  const found = async (check: string) => {
    const { findings } = JSON.parse((await cli('doctor', '--json')).out) as {
      findings: { check: string; status: string; message: string }[];
    };
    return findings.find((one) => one.check === check);
  };

  test('streams are seen, doubted and ended', async () => {
    assert.match((await cli('signals', 'streams', 'list')).out, /Nobody is sent signals/);
    assert.equal(await found('signals'), undefined);
    const receiver = await signalReceiver(server);
    const { stream_id: id } = await receiver.stream({ description: 'for the SIEM' });
    assert.equal((await found('signals'))?.status, 'ok');
    await receiver.call('POST', '/ssf/verification', { stream_id: id });
    assert.match((await cli('signals', 'streams', 'list')).out, new RegExp(`fetched +enabled +1 .*${id}`));
    assert.match((await cli('signals', 'streams', 'show', id)).out, /for the SIEM[\s\S]*waiting +1/);
    const verified = await cli('signals', 'streams', 'verify', id);
    assert.match(verified.out, /waits until it is fetched\. .* show sst_\w+` says/, verified.err);
    const byAgent = await cli('signals', 'streams', 'verify', receiver.clientId);
    assert.equal(byAgent.out, verified.out, 'one waits: no other is sent');
    const { stream_id: second } = await receiver.stream();
    assert.match((await cli('signals', 'streams', 'verify', receiver.clientId)).err, /has 2 streams: say which one/);
    assert.equal((await receiver.call('DELETE', `/ssf/streams?stream_id=${second}`)).status, 204);
    assert.match((await cli('signals', 'streams', 'show', 'operator')).err, /operator has no stream/);
    server.clock.advance(3_700_000);
    const { status, message } = (await found('signals')) ?? {};
    assert.deepEqual([status, message?.includes(`${id} (last never)`)], ['warn', true]);
    assert.match((await cli('signals', 'streams', 'end', id, '--yes')).out, /told nothing more/);
    assert.notEqual((await cli('signals', 'streams', 'show', id)).code, 0);
  });

  test('sources are made, seen, changed, doubted and removed', async () => {
    assert.match((await cli('signals', 'sources', 'list')).out, /heard from nobody/);
    const create = ['signals', 'sources', 'create', 'okta', '--issuer', 'https://okta.example'] as const;
    const keys = ['--jwks-uri', 'https://okta.example/keys', '--audience', 'https://id.example'] as const;
    const made = await cli(...create, ...keys, '--event', 'session-revoked');
    assert.equal(made.code, 0, made.err);
    assert.match(made.out, /endpoint_url: .*\/ssf\/receive\/ssr_\w+\nauthorization_header, shown once: Bearer /);
    assert.equal((await found('signal sources'))?.status, 'ok');
    assert.match((await cli('signals', 'sources', 'list')).out, /okta +https:\/\/okta\.example +push/);
    const changed = await cli('signals', 'sources', 'update', 'okta', '--event', 'risk-level-change');
    assert.match(changed.out, /events +risk-level-change/);
    assert.doesNotMatch((await cli('signals', 'sources', 'show', 'okta')).out, /Bearer/);
    server.clock.advance(8 * 86_400_000);
    assert.match((await found('signal sources'))?.message ?? '', /for a week of: okta \(last never\)/);
    assert.match((await cli('signals', 'sources', 'remove', 'okta', '--yes')).out, /any more/);
    assert.notEqual((await cli('signals', 'sources', 'show', 'okta')).code, 0);
    const asked = await cli(
      ...['signals', 'sources', 'create', 'polled', '--issuer', 'https://okta.example', ...keys],
      ...['--poll-url', 'https://localhost:1/poll', '--oauth-issuer', 'https://localhost:1', '--oauth-client', 'us'],
    );
    assert.match(asked.out, /Register this public key there: \{.*"kty":"EC"/);
    assert.equal((await cli('signals', 'sources', 'remove', 'polled', '--yes')).code, 0);
  });

  test('what makes no sense is said', async () => {
    const create = ['signals', 'sources', 'create', 'x'] as const;
    const whole = [...create, '--issuer', 'https://x.example', '--audience', 'y'] as const;
    assert.match((await cli(...create)).err, /--issuer and --audience/);
    assert.match((await cli(...whole, '--oauth-client', 'z')).err, /needs --poll-url/);
    assert.match((await cli(...whole, '--poll-url', 'https://x.example/p')).err, /as whom it is asked/);
    assert.match((await cli(...whole, '--poll-url', 'https://x.example/p', '--oauth-client', 'z')).err, /go together/);
    assert.match(
      (await cli(...whole, '--poll-url', 'https://x.example/p', '--authorization-file', 'missing')).err,
      /missing can't be read/,
    );
    assert.match((await cli('signals', 'sources', 'update', 'x')).err, /Nothing to change/);
    assert.match((await cli('signals', 'sources', 'remove', 'x', '--yes')).err, /no source of signals x/);
  });
});
