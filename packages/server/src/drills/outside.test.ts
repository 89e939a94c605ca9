/** Rehearsed revocations, felt outside: at a resource, by a receiver of signals, on the command line and by the doctor. */
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { Finding } from '../cli/doctor/finding.ts';
import { type FakeClock, systemClock } from '../lib/clock.ts';
import { asOf } from '../liveness/liveness.ts';
import { type CommandLine, commandLine } from '../testing/command-line.ts';
import { feedGuard } from '../testing/feed-client.ts';
import { startServer, type TestServer } from '../testing/harness.ts';
import { type PushTarget, pushTarget, signalReceiver, testWeb } from '../testing/signal-receiver.ts';
import { standingOf } from '../tokens/introspect.ts';
import type { Report } from './drill.ts';

const realTime: FakeClock = { ...systemClock, advance: () => assert.fail('this is the real time') };

describe('drills, felt outside', () => {
  let web: Awaited<ReturnType<typeof testWeb>>;
  let target: PushTarget;
  let server: TestServer;
  let cli: CommandLine;
  const stops: (() => void)[] = [];
  before(async () => {
    web = await testWeb();
    target = await pushTarget(web);
    server = await startServer({
      algorithms: ['ES256', 'RS256'],
      clock: realTime,
      config: { outbound: { ca_file: web.caFile }, drill: { every_hours: 24 } },
    });
    const { data } = server.deps.config;
    const env = { BAILIWICK_DATA: data, BAILIWICK_ISSUER: server.issuer, BAILIWICK_DRILL_EVERY_HOURS: '24' };
    cli = commandLine(server, { env, now: realTime.now });
  });
  after(async () => {
    cli.close();
    for (const stop of stops) stop();
    await target.close();
    await server.close();
    web.remove();
  });

  /** What a guard does who asks about every token; `broken`: it looks at none. */
  async function guarded(name: string, broken = false): Promise<void> {
    const api = createServer(web, async (request, response) => {
      const token = request.headers.authorization?.replace('DPoP ', '') ?? '';
      const { state } = await standingOf(server.deps, token, await asOf(server.deps.db));
      response.writeHead(state === 'alive' || broken ? 404 : 401).end();
    });
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    stops.push(() => {
      api.closeAllConnections();
      api.close();
    });
    const { port } = api.address() as AddressInfo;
    const resource = await server.admin<{ id: string }>('POST', '/resources', {
      identifier: `https://localhost:${port}/api`,
      name,
      scopes: [{ name: 'things:read' }],
      operations: [{ name: 'read', method: 'GET', path: '/{id}', scope: ['things:read'] }],
    });
    await feedGuard(server, resource.id);
  }

  const doctor = async () => {
    const { findings } = JSON.parse((await cli('doctor', '--json')).out) as { findings: Finding[] };
    return findings.find(({ check }) => check === 'drill');
  };

  test('the doctor warns when a scheduled drill never was', async () => {
    assert.equal((await doctor())?.status, 'warn');
  });

  test('a resource that refuses and a receiver that is told are timed; a tired person reads it as a table', async () => {
    await guarded('things');
    const receiver = await signalReceiver(server);
    await receiver.stream({
      delivery: { method: 'urn:ietf:rfc:8935', endpoint_url: target.url },
      description: 'security',
    });
    const { code, out, err } = await cli('drill', 'revoke');
    assert.equal(code, 0, out + err);
    assert.match(out, /^Everybody who was asked refuses\. The last did after /);
    assert.match(out, /a request to the resource +things +refuses +\d+ ms/);
    assert.match(out, /a receiver of security signals +sst_\w+ +knows +\d/);
    assert.match(
      out,
      /What nobody can call back:\n {2}- The certificate \(X\.509-SVID\) of an instance is believed by outside verifiers/,
    );
    assert.ok(target.heard.length > 0);
    const found = await doctor();
    assert.equal(found?.status, 'ok', JSON.stringify(found));
    assert.match((await cli('drill', 'list')).out, /everybody refused/);
  });

  test('a resource that goes on accepting fails the drill, by its name; the doctor warns', async () => {
    await guarded('careless', true);
    const { code, out } = await cli('drill', 'revoke', '--wait', '5', '--json'); // long enough for all the others
    assert.equal(code, 1);
    const done = JSON.parse(out) as Report;
    assert.equal(done.passed, false);
    assert.deepEqual(
      done.rows.filter(({ outcome }) => outcome === 'still_accepts').map(({ probe, what }) => [probe, what]),
      [['resource', 'careless']],
    );
    const found = await doctor();
    assert.deepEqual([found?.status, /somebody still accepted/.test(found?.message ?? '')], ['warn', true]);
  });

  const refused: [string, string[], RegExp][] = [
    ['an agent without --for-real', ['--agent', 'desk'], /say --for-real/],
    ['--for-real without an agent', ['--for-real'], /Which agent/],
    ['a real agent, and nobody to ask', ['--agent', 'desk', '--for-real'], /say --yes/],
    ['no time to wait', ['--wait', 'long'], /--wait/],
  ];
  for (const [sentence, words, message] of refused) {
    test(`refused: ${sentence}`, async () => {
      const { code, err } = await cli('drill', 'revoke', ...words);
      assert.notEqual(code, 0);
      assert.match(err, message);
    });
  }

  test('a real agent is suspended only once its name was typed', async () => {
    const owner = await server.admin<{ id: string }>('POST', '/teams', { name: 'desk-team' });
    const desk = await server.admin<{ id: string }>('POST', '/agents', {
      name: 'desk',
      kind: 'workload',
      owner: owner.id,
    });
    const status = async () => (await server.admin<{ status: string }>('GET', `/agents/${desk.id}`)).status;
    const answering = (said: string) => commandLine(server, { interactive: true, ask: async () => said });
    for (const [said, expected] of [
      ['yes', 'active'],
      ['desk', 'suspended'],
    ] as const) {
      const line = answering(said);
      await line('drill', 'revoke', '--agent', 'desk', '--for-real');
      line.close();
      assert.equal(await status(), expected);
    }
  });
});
