/** Two servers of ours: an agent that is suspended at one loses its tokens at the other, by policy; told by push and by poll. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { fakeClock } from '../lib/clock.ts';
import { databases, startServer, type TestServer, testEpoch } from '../testing/harness.ts';
import { type SignalReceiver, signalReceiver, testWeb } from '../testing/signal-receiver.ts';
import { tokenClient } from '../testing/token-client.ts';
import { until } from '../testing/until.ts';
import { tokenEnded } from '../tokens/introspect.ts';

interface Source {
  id: string;
  push_url?: string;
  secret?: string;
  poll?: { oauth?: { jwk: Record<string, unknown> } };
  heard_at?: string;
  fault?: string;
}

for (const database of databases) {
  describe(`two servers, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let folder: string;
    let west: TestServer;
    let east: TestServer;
    const trusted = getCACertificates('default');
    const clock = fakeClock(testEpoch);
    before(async () => {
      web = await testWeb();
      setDefaultCACertificates([...trusted, readFileSync(web.caFile, 'utf8')]);
      folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-tls-'));
      const tls = { cert: path.join(folder, 'cert.pem'), key: path.join(folder, 'key.pem') };
      writeFileSync(tls.cert, web.cert);
      writeFileSync(tls.key, web.key);
      const begin = (name: string) =>
        startServer({
          database,
          clock,
          config: {
            trust_domain: `${name}.example`,
            tls,
            signals: { signing_alg: 'ES256' },
            outbound: { ca_file: web.caFile },
          },
        });
      [west, east] = [await begin('west'), await begin('east')];
      const bundle = await (await fetch(`${west.issuer}/spiffe/bundle`)).json();
      await east.admin('POST', '/trust-domains', { name: 'west.example', bundle });
    });
    after(async () => {
      await east.close();
      await west.close();
      setDefaultCACertificates(trusted);
      web.remove();
      rmSync(folder, { recursive: true });
    });

    const audienceOf = (receiver: string) => `${west.issuer}/ssf/receivers/${receiver}`;
    const letAct = (source: string) =>
      east.admin('POST', '/policies', {
        name: source,
        reason: 'test',
        text: `@id("${source}") permit (principal == Source::"${source}", action == Action::"signal:apply", resource)
when { context.event == "session-revoked" && context.effect == "suspend" };`,
      });
    /** The same workload: an agent of west, and one of east with a token there that knows it by its SPIFFE ID. */
    const workload = async () => {
      const { clientId: home } = await tokenClient(west);
      const { subject } = await west.admin<{ subject: string }>('GET', `/agents/${home}`);
      assert.match(subject, /^spiffe:\/\/west\.example\//);
      const there = await tokenClient(east);
      await east.admin('POST', '/credentials', { agent: there.clientId, kind: 'spiffe_id', spiffe_id: subject });
      const { body } = await there.send();
      const token = String(body.access_token);
      const [header, claims] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString());
      const { kid } = JSON.parse(header ?? '');
      return {
        home,
        active: async () => !(await tokenEnded(east.deps.db, JSON.parse(claims ?? ''), kid)),
        status: async () => (await east.admin<{ status: string }>('GET', `/agents/${there.clientId}`)).status,
        agent: there.clientId,
      };
    };
    const heard = async (source: string) => {
      const { items } = await east.admin<{ items: { decided_on: { agents: { agent: string; effect: string }[] } }[] }>(
        'GET',
        `/events?type=signal.received&target=${source}&limit=50`,
      );
      return items.map(({ decided_on }) => decided_on);
    };
    /** Lets both sides work until it is so. */
    const comesTo = (holds: () => Promise<boolean>) =>
      until(holds, Boolean, () => {
        clock.advance(600);
        return west.deps.consumers.settled();
      });
    const suspendedThere = async (source: string) => {
      const { home, active, status, agent } = await workload();
      assert.equal(await active(), true);
      await west.admin('POST', `/agents/${home}/suspend`, { reason: 'stolen' });
      await comesTo(async () => (await status()) === 'suspended');
      assert.equal(await active(), false);
      await comesTo(async () =>
        (await heard(source)).some(({ agents }) => agents.some((one) => one.effect === 'suspended')),
      );
      const stopped = (await heard(source))
        .flatMap(({ agents }) => agents)
        .filter(({ effect }) => effect === 'suspended');
      assert.deepEqual(
        stopped.map((one) => one.agent),
        [agent],
        'once',
      );
      const { heard_at, fault } = await east.admin<Source>('GET', `/signal-sources/${source}`);
      assert.ok(heard_at);
      assert.equal(fault, undefined);
    };

    test('by push', async () => {
      const receiver = await signalReceiver(west);
      const source = await east.admin<Source>('POST', '/signal-sources', {
        name: 'west-push',
        issuer: west.issuer, // its keys are found by its own metadata
        audience: [audienceOf(receiver.clientId)],
      });
      await letAct('west-push');
      await receiver.stream({
        delivery: {
          method: 'urn:ietf:rfc:8935',
          endpoint_url: source.push_url,
          authorization_header: source.secret,
        },
      });
      await suspendedThere(source.id);
      await east.admin('DELETE', `/signal-sources/${source.id}`); // what follows is not to be heard from it, too
    });

    test('by poll, with tokens of our own kind that are bound to a key', async () => {
      const { receiver, stream_id } = await registered();
      const source = await east.admin<Source>('POST', '/signal-sources', {
        name: 'west-poll',
        issuer: west.issuer,
        audience: [audienceOf(receiver.clientId)],
        poll: {
          url: `${west.issuer}/ssf/poll/${stream_id}`,
          oauth: { issuer: west.issuer, client_id: receiver.clientId },
        },
      });
      await letAct('west-poll');
      await west.admin('POST', '/credentials', { agent: receiver.clientId, jwk: source.poll?.oauth?.jwk });
      await suspendedThere(source.id);
      // and what was taken was said
      await comesTo(
        async () => (await west.admin<{ waiting: number }>('GET', `/signal-streams/${stream_id}`)).waiting === 0,
      );
    });

    test('a poller that is suspended there hears nothing, and what happened meanwhile once it is resumed', async () => {
      const { receiver, stream_id } = await registered();
      const source = await east.admin<Source>('POST', '/signal-sources', {
        name: 'west-stopped',
        issuer: west.issuer,
        audience: [audienceOf(receiver.clientId)],
        poll: {
          url: `${west.issuer}/ssf/poll/${stream_id}`,
          oauth: { issuer: west.issuer, client_id: receiver.clientId },
        },
      });
      await letAct('west-stopped');
      await west.admin('POST', '/credentials', { agent: receiver.clientId, jwk: source.poll?.oauth?.jwk });
      await west.admin('POST', `/agents/${receiver.clientId}/suspend`, { reason: 'test' });
      const { home, status } = await workload();
      await west.admin('POST', `/agents/${home}/suspend`, { reason: 'stolen' });
      const faultOf = async () => (await east.admin<Source>('GET', `/signal-sources/${source.id}`)).fault;
      await comesTo(async () => (await faultOf()) !== undefined);
      assert.match((await faultOf()) ?? '', /no token could be got there \(\w+\)|answered with 401/);
      assert.equal(await status(), 'active');
      await west.admin('POST', `/agents/${receiver.clientId}/resume`);
      await comesTo(async () => (await status()) === 'suspended');
    });

    /** A receiver at west with a stream that is fetched. */
    async function registered(): Promise<{ receiver: SignalReceiver; stream_id: string }> {
      const receiver = await signalReceiver(west);
      return { receiver, stream_id: (await receiver.stream()).stream_id };
    }
  });
}
