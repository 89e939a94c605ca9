/** Where and when an agent's tokens may be used, as it is registered and changed. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { tokenClient } from '../testing/token-client.ts';

const window = { from: '08:00', to: '18:00' };
const office = { tz: 'Europe/Berlin', windows: [{ days: ['mon', 'fri'], ...window }] };

for (const database of databases) {
  describe(`the context of agents (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let team: string;
    let count = 0;
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      team = (await operator.ok('GET', '/teams?name=operators')).items[0].id;
    });
    after(() => server.close());

    const body = (more: object = {}) => ({ name: `agent-${count++}`, kind: 'workload', owner: team, ...more });

    test('it is kept in its canonical form, and shown', async () => {
      const context = {
        ip: ['::ffff:10.0.0.0/104', '10.1.2.3', '2001:DB8::/32'],
        country: ['DE', 'AT', 'DE'],
        zone: ['eu-2', 'eu-1'],
        hours: [{ tz: 'Europe/Berlin', windows: [{ days: ['fri', 'mon'], ...window }] }],
      };
      const made = await operator.ok('POST', '/agents', body({ context, instances: { bind: ['address', 'zone'] } }));
      const expected = {
        ip: ['10.0.0.0/8', '2001:db8::/32'],
        country: ['AT', 'DE'],
        zone: ['eu-1', 'eu-2'],
        hours: [office],
      };
      assert.deepEqual(made.context, expected);
      assert.deepEqual(made.instances, { bind: ['address', 'zone'] });
      const shown = await operator.ok('GET', `/agents/${made.id}`);
      assert.deepEqual(shown.context, expected);
      assert.deepEqual((await operator.ok('POST', '/agents', body())).context, {});
    });

    test('a patch changes a member, or takes it away', async () => {
      const { id } = await operator.ok('POST', '/agents', body({ context: { ip: ['10.0.0.1'], country: ['DE'] } }));
      const patched = async (context: unknown) => (await operator.ok('PATCH', `/agents/${id}`, { context })).context;
      assert.deepEqual(await patched({ zone: ['eu-1'] }), { ip: ['10.0.0.1'], country: ['DE'], zone: ['eu-1'] });
      assert.deepEqual(await patched({ ip: null }), { country: ['DE'], zone: ['eu-1'] });
      assert.deepEqual(await patched({ hours: [office] }), { country: ['DE'], zone: ['eu-1'], hours: [office] });
      assert.deepEqual(await patched(null), {});
    });

    const refused: [what: string, context: unknown, field: string, message: RegExp][] = [
      ['a list', [], 'context', /object/],
      ['an unknown member', { asn: ['1'] }, 'context.asn', /is not known/],
      ['one address alone', { ip: '10.0.0.1' }, 'context.ip', /must be a list/],
      ['no address', { ip: [] }, 'context.ip', /must be a list of 1 to 64/],
      ['a host', { ip: ['host.example'] }, 'context.ip', /must be a list of addresses/],
      ['bits beyond a prefix', { ip: ['10.1.2.3/8'] }, 'context.ip', /10\.0\.0\.0\/8/],
      ['65 addresses', { ip: Array.from({ length: 65 }, (_, i) => `10.0.0.${i}`) }, 'context.ip', /1 to 64/],
      ['a country in small letters', { country: ['de'] }, 'context.country', /two capitals/],
      ['a zone with a space', { zone: ['eu 1'] }, 'context.zone', /names of zones/],
      ['hours as text', { hours: 'mon-fri' }, 'context.hours', /must be a list/],
      ['an unknown time zone', { hours: [{ ...office, tz: 'Mars/Base' }] }, 'context.hours[0].tz', /time zone/],
      ['an offset', { hours: [{ ...office, tz: '+02:00' }] }, 'context.hours[0].tz', /time zone/],
      ['no windows', { hours: [{ tz: 'UTC', windows: [] }] }, 'context.hours[0].windows', /list of 1 to 14/],
      [
        'a time that is none',
        { hours: [{ tz: 'UTC', windows: [{ from: '8', to: '18:00' }] }] },
        'context.hours[0].windows[0].from',
        /08:00/,
      ],
      [
        'a day twice',
        { hours: [{ tz: 'UTC', windows: [{ days: ['mon', 'mon'], ...window }] }] },
        'context.hours[0].windows[0].days',
        /at most once/,
      ],
      [
        'a day that is none',
        { hours: [{ tz: 'UTC', windows: [{ days: ['noday'], ...window }] }] },
        'context.hours[0].windows[0].days[0]',
        /one of mon/,
      ],
      [
        'an unknown member of a window',
        { hours: [{ tz: 'UTC', windows: [{ day: 'mon', ...window }] }] },
        'context.hours[0].windows[0].day',
        /not known/,
      ],
    ];
    for (const [what, context, field, message] of refused) {
      test(`refused: ${what}`, async () => {
        const { id } = await operator.ok('POST', '/agents', body());
        for (const reply of [
          await operator.call('POST', '/agents', body({ context })),
          await operator.call('PATCH', `/agents/${id}`, { context }),
        ]) {
          assert.equal(reply.status, 400, reply.text);
          assert.equal(reply.body.errors[0].field, field, reply.text);
          assert.match(reply.body.errors[0].message, message);
        }
      });
    }

    test('refused: a binding to something else', async () => {
      const reply = await operator.call('POST', '/agents', body({ instances: { bind: ['host'] } }));
      assert.equal(reply.status, 400);
      assert.match(reply.text, /address, country, zone/);
    });

    const changes: [what: string, before: object, after: object, ends: boolean][] = [
      ['a first limit', {}, { ip: ['127.0.0.1', '::1'] }, true],
      ['a narrower network', { ip: ['127.0.0.0/8', '::1'] }, { ip: ['127.0.0.1', '::1'] }, true],
      ['one network instead of another', { ip: ['127.0.0.1', '::1'] }, { ip: ['127.0.0.1', '::2'] }, true],
      ['other hours', {}, { hours: [{ tz: 'UTC', windows: [{ from: '00:00', to: '24:00' }] }] }, true],
      ['a wider network', { ip: ['127.0.0.1', '::1'] }, { ip: ['127.0.0.0/8', '::/16'] }, false],
      [
        'the same in other words',
        { ip: ['127.0.0.0/8', '::1'] },
        { ip: ['::ffff:127.0.0.0/104', '0:0:0:0:0:0:0:1'] },
        false,
      ],
      ['no limit', { ip: ['127.0.0.1', '::1'] }, { ip: null }, false],
    ];
    for (const [what, before, after, ends] of changes) {
      test(`${what}: ${ends ? 'ends the tokens that it has' : 'ends nothing'}`, async () => {
        const client = await tokenClient(server, { agent: { context: before } });
        const token = String((await client.send()).body.access_token);
        const active = async () => {
          const form = await client.form({ token, presenter_address: '127.0.0.1' });
          const response = await fetch(`${server.issuer}/oauth2/introspect`, {
            method: 'POST',
            body: new URLSearchParams(form),
          });
          return ((await response.json()) as { active: boolean }).active;
        };
        assert.equal(await active(), true);
        await operator.ok('PATCH', `/agents/${client.clientId}`, { context: after });
        assert.equal(await active(), !ends);
      });
    }

    test('the open part of the log says what is limited, and not to where', async () => {
      const { id } = await operator.ok('POST', '/agents', body({ context: { ip: ['203.0.113.7'] } }));
      const { items } = await operator.ok('GET', `/events?target=${id}&type=agent.created`);
      const { personal, ...open } = items[0];
      assert.ok(!JSON.stringify(open).includes('203.0.113.7'));
      assert.ok(JSON.stringify(personal).includes('203.0.113.7'));
      assert.match(JSON.stringify(open), /"context":\["ip"\]/);
    });

    test('the last operator is not limited to a place or hours, and one that is counts for no other', async () => {
      const own = `/agents/${server.operator.client_id}`;
      const limited = { context: { hours: [{ tz: 'UTC', windows: [{ from: '00:00', to: '24:00' }] }] } };
      const reply = await operator.call('PATCH', own, limited);
      assert.equal(reply.status, 409, reply.text);
      assert.match(reply.body.detail, /last identity with the role operator/);

      const role = (await operator.ok('GET', '/roles?name=operator')).items[0].id;
      const entry = { resource: `${server.issuer}/admin`, default: true, scope: [] };
      const second = await operator.ok('POST', '/agents', body({ resources: [entry], ...limited }));
      await operator.ok('PUT', `/agents/${second.id}/roles/${role}`);
      await operator.ok('POST', '/credentials', { agent: second.id, jwk: publicJwk(await generateJwk('ES256')) });
      assert.equal((await operator.call('PATCH', own, limited)).status, 409);
      await operator.ok('PATCH', `/agents/${second.id}`, { context: null });
      await operator.ok('PATCH', own, limited);
      const again = adminClient(server, server.operator); // that was a revocation: its token has ended
      const last = await again.call('PATCH', `/agents/${second.id}`, { context: { country: ['DE'] } });
      assert.equal(last.status, 409);
    });
  });
}
