/** Where tokens may be had and used: at the token endpoint, at introspection and at our own APIs. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  createClientAssertion,
  generateJwk,
  parseCompact,
  publicJwk,
  type Signer,
  signerFrom,
} from '@bailiwick/protocol';
import { adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const german = '5.9.0.1';
const austrian = '193.171.0.1';
const everywhere = ['0.0.0.0/0', '::/0'];
const zones = { 'eu-1': ['10.1.0.0/16'], 'eu-2': ['10.2.0.0/16'] };

/** Behind a proxy on this machine, so that a test can come from anywhere. The rule that a public issuer is https is for real ones. */
function behindProxy(server: TestServer, header: 'x-forwarded-for' | 'forwarded' = 'x-forwarded-for'): void {
  Object.assign(server.deps.config, { trusted_proxies: ['127.0.0.1', '::1'], forwarded_header: header });
}

const from = (address: string) => ({ 'x-forwarded-for': address });
const claimsOf = (token: unknown) => parseCompact(String(token)).payload;
const hours = (tz: string, start: string, end: string) => [{ tz, windows: [{ from: start, to: end }] }];
const thisHour = hours('UTC', '09:00', '10:00'); // the clock stands at nine
const nextHour = hours('UTC', '10:00', '11:00');

for (const database of databases) {
  describe(`where tokens may be had and used (${database})`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { context: { zones } } });
      behindProxy(server);
    });
    after(() => server.close());

    const clientWith = (context: object) => tokenClient(server, { agent: { context } });

    const issued: [
      what: string,
      context: object,
      ctx: object | undefined,
      address: string,
      expected: object | undefined,
    ][] = [
      ['no limits', {}, undefined, '192.0.2.1', undefined],
      ['an empty ctx', {}, {}, '192.0.2.1', undefined],
      ['limits of the agent', { ip: ['10.0.0.0/8'] }, undefined, '10.1.2.3', { ip: ['10.0.0.0/8'] }],
      ['limits of the request', {}, { ip: ['10.0.0.0/8'] }, '10.1.2.3', { ip: ['10.0.0.0/8'] }],
      ['a narrower request', { ip: ['10.0.0.0/8'] }, { ip: ['10.1.2.3'] }, '10.1.2.3', { ip: ['10.1.2.3'] }],
      ['a wider request', { ip: ['10.1.0.0/16'] }, { ip: everywhere }, '10.1.2.3', { ip: ['10.1.0.0/16'] }],
      [
        'IPv4 in IPv6',
        { ip: ['10.0.0.0/8'] },
        { ip: ['::ffff:10.1.0.0/112'] },
        '::ffff:10.1.2.3',
        { ip: ['10.1.0.0/16'] },
      ],
      [
        'what each limits',
        { country: ['AT', 'DE'] },
        { country: ['DE', 'CH'], hours: thisHour },
        german,
        { country: ['DE'], hours: thisHour },
      ],
      ['a zone', { zone: ['eu-1', 'eu-2'] }, { zone: ['eu-2', 'us-1'] }, '10.2.0.1', { zone: ['eu-2'] }],
      [
        'hours of both',
        { hours: thisHour },
        { hours: hours('UTC', '08:00', '09:30') },
        '192.0.2.1',
        { hours: [...hours('UTC', '08:00', '09:30'), ...thisHour] },
      ],
    ];
    for (const [what, context, ctx, address, expected] of issued) {
      test(`a token says where it may be used: ${what}`, async () => {
        const client = await clientWith(context);
        const { status, body } = await client.send(ctx && { ctx: JSON.stringify(ctx) }, from(address));
        assert.equal(status, 200, JSON.stringify(body));
        assert.deepEqual(claimsOf(body.access_token).ctx, expected);
      });
    }

    const denied: [what: string, context: object, ctx: object | undefined, address: string, sentence: RegExp][] = [
      ['from another address', { ip: ['10.1.0.0/16'] }, undefined, '10.2.0.1', /may not be used from this address/],
      ['from an address that the request excludes', {}, { ip: ['10.1.0.0/16'] }, '10.2.0.1', /from this address/],
      ['from an address that nobody knows', { ip: everywhere }, undefined, 'unknown', /from this address/],
      ['from another country', { country: ['DE'] }, undefined, austrian, /from the country of this address/],
      ['from no country', { country: ['DE'] }, undefined, '10.1.0.1', /from the country of this address/],
      ['from a private address that a registry has', { country: ['AU'] }, undefined, '192.168.1.1', /from the country/],
      ['from another zone', { zone: ['eu-1'] }, undefined, '10.2.0.1', /from this zone/],
      ['from no zone', { zone: ['eu-1'] }, undefined, '192.0.2.1', /from this zone/],
      ['for a zone that nobody knows', {}, { zone: ['moon-1'] }, '10.1.0.1', /from this zone/],
      ['at another hour', { hours: nextHour }, undefined, '192.0.2.1', /at this hour/],
      ['for nowhere', { ip: ['10.1.0.0/16'] }, { ip: ['10.2.0.0/16'] }, '10.1.0.1', /no place and time/],
      ['for no country', { country: ['DE'] }, { country: ['AT'] }, german, /no place and time/],
      ['for never', { hours: thisHour }, { hours: nextHour }, '192.0.2.1', /no place and time/],
    ];
    for (const [what, context, ctx, address, sentence] of denied) {
      test(`no token ${what}`, async () => {
        const client = await clientWith(context);
        const { status, body } = await client.send(ctx && { ctx: JSON.stringify(ctx) }, from(address));
        assert.deepEqual([status, body.error], [400, 'access_denied'], JSON.stringify(body));
        assert.match(String(body.error_description), sentence);
        assert.doesNotMatch(String(body.error_description), /\d|eu-|DE/, 'it does not say what would be right');
      });
    }

    test('of a token that was issued the log says what is limited in the open, and to where sealed', async () => {
      const client = await clientWith({ ip: ['10.1.2.3'] });
      await client.send({}, from('10.1.2.3'));
      type Listed = { items: (Record<string, unknown> & { decided_on: { ctx: string[] } })[] };
      const { items } = await server.admin<Listed>('GET', `/events?agent=${client.clientId}&type=token.issued`);
      const { personal, ...open } = items[0] ?? assert.fail('no event');
      assert.deepEqual(open.decided_on.ctx, ['ip']);
      assert.ok(!JSON.stringify(open).includes('10.1.2.3'));
      assert.ok(JSON.stringify(personal).includes('"ctx":{"ip":["10.1.2.3"]}'));
    });

    test('a refusal for the place is on record, with the dimension in the open and the address sealed', async () => {
      const client = await clientWith({ country: ['DE'] });
      await client.send({}, from(austrian));
      type Listed = { items: { reason: string; decided_on: { outside: string }; personal: { address: string } }[] };
      const { items } = await server.admin<Listed>('GET', `/events?agent=${client.clientId}&type=token.refused`);
      assert.equal(items[0]?.reason, 'asked for outside of its context: country');
      assert.equal(items[0]?.decided_on.outside, 'country');
      assert.equal(items[0]?.personal.address, austrian);
    });

    const window = { from: '08:00', to: '18:00' };
    const malformed: [what: string, ctx: string, sentence: RegExp][] = [
      ['no JSON', '{', /ctx must be JSON/],
      ['JSON of no object', '["10.0.0.1"]', /ctx: a context must be an object/],
      ['null', 'null', /ctx: a context must be an object/],
      ['an unknown member', '{"asn":["1"]}', /no members but ip, country, zone and hours/],
      ['a prototype', '{"__proto__":{"ip":["0.0.0.0/0"]}}', /no members but/],
      ['an empty list', '{"ip":[]}', /ctx: ip must be a list of 1 to 64/],
      ['no address', '{"ip":["host.example"]}', /ctx: ip must be a list of addresses/],
      ['a country in small letters', '{"country":["de"]}', /ctx: country must be/],
      ['a zone with a space', '{"zone":["eu 1"]}', /ctx: zone must be/],
      [
        'an unknown time zone',
        JSON.stringify({ hours: [{ tz: 'Mars/Base', windows: [window] }] }),
        /hours\[0\]\.tz must be/,
      ],
      [
        'nine schedules',
        JSON.stringify({ hours: Array(9).fill({ tz: 'UTC', windows: [window] }) }),
        /hours must be a list of 1 to 8/,
      ],
      [
        'more than anybody needs',
        JSON.stringify({ ip: ['10.0.0.1'], x: 'x'.repeat(17_000) }),
        /ctx: a context must be/,
      ],
      ['deeper than anything', `{"ip":${'['.repeat(8000)}${']'.repeat(8000)}}`, /ctx: ip must be/],
    ];
    for (const [what, ctx, sentence] of malformed) {
      test(`a request whose ctx is ${what}`, async () => {
        const { status, body } = await (await clientWith({})).send({ ctx }, from('10.0.0.1'));
        assert.deepEqual([status, body.error], [400, 'invalid_request'], JSON.stringify(body));
        assert.match(String(body.error_description), sentence);
      });
    }

    test('a context of 1 MB is not read', async () => {
      const { status, body } = await (await clientWith({})).send({ ctx: 'x'.repeat(1024 * 1024) }, from('10.0.0.1'));
      assert.deepEqual([status, body.error], [413, 'invalid_request']);
    });

    const forged: [
      what: string,
      header: 'x-forwarded-for' | 'forwarded',
      sent: Record<string, string>,
      status: number,
    ][] = [
      ['what the proxy says', 'x-forwarded-for', { 'x-forwarded-for': '10.1.2.3' }, 200],
      ['what stands before it', 'x-forwarded-for', { 'x-forwarded-for': '10.1.2.3, 192.0.2.1' }, 400],
      [
        'the header that the proxy does not know',
        'x-forwarded-for',
        { forwarded: 'for=10.1.2.3', 'x-forwarded-for': '192.0.2.1' },
        400,
      ],
      ['that header alone', 'x-forwarded-for', { forwarded: 'for=10.1.2.3' }, 400],
      ['something unreadable', 'x-forwarded-for', { 'x-forwarded-for': '10.1.2.3;' }, 400],
      ['nothing', 'x-forwarded-for', { 'x-forwarded-for': '' }, 400],
      ['with a port', 'x-forwarded-for', { 'x-forwarded-for': '10.1.2.3:4711' }, 200],
      [
        'another header of proxies',
        'x-forwarded-for',
        { 'x-real-ip': '10.1.2.3', 'x-forwarded-for': '192.0.2.1' },
        400,
      ],
      ['Forwarded', 'forwarded', { forwarded: 'for=10.1.2.3;proto=https' }, 200],
      ['Forwarded, IPv4 in IPv6', 'forwarded', { forwarded: 'for="[::ffff:10.1.2.3]:80"' }, 200],
      ['Forwarded, what stands before', 'forwarded', { forwarded: 'for=10.1.2.3, for=192.0.2.1' }, 400],
      [
        'X-Forwarded-For where Forwarded is chosen',
        'forwarded',
        { forwarded: 'for=192.0.2.1', 'x-forwarded-for': '10.1.2.3' },
        400,
      ],
      ['a quote that swallows the proxy’s word', 'forwarded', { forwarded: 'for=10.1.2.3;x=", for=192.0.2.1' }, 400],
      ['nobody', 'forwarded', { forwarded: 'for=unknown' }, 400],
    ];
    for (const [what, header, sent, expected] of forged) {
      test(`from where a request comes, by ${what}`, async () => {
        const client = await clientWith({ ip: ['10.1.0.0/16'] });
        behindProxy(server, header);
        const { status, body } = await client.send({}, sent);
        behindProxy(server);
        assert.equal(status, expected, JSON.stringify(body));
      });
    }

    test('without a trusted proxy no header moves anybody', async () => {
      const client = await clientWith({ ip: ['10.1.0.0/16'] });
      Object.assign(server.deps.config, { trusted_proxies: [] });
      const { body } = await client.send({}, from('10.1.2.3'));
      behindProxy(server);
      assert.equal(body.error, 'access_denied');
    });

    describe('introspection', () => {
      let guard: { id: string; signer: Signer };
      let client: TokenClient;
      before(async () => {
        client = await clientWith({});
        const jwk = await generateJwk('ES256');
        const { agent } = await server.admin<{ agent: string }>('POST', '/guards', {
          name: `guard-${client.clientId.slice(-6)}`,
          resource: client.identifier,
          owner: client.owner,
          jwk: publicJwk(jwk),
        });
        guard = { id: agent, signer: signerFrom(jwk) };
      });

      async function introspect(token: string, parameters: Record<string, string> = {}, asking = guard) {
        const assertion = await createClientAssertion(asking.signer, {
          clientId: asking.id,
          audience: server.issuer,
          now: server.clock.now(),
          jti: crypto.randomUUID(),
        });
        const response = await fetch(`${server.issuer}/oauth2/introspect`, {
          method: 'POST',
          body: new URLSearchParams({
            token,
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
            client_assertion: assertion,
            ...parameters,
          }),
        });
        return { status: response.status, body: (await response.json()) as Record<string, unknown> };
      }

      const tokenWith = async (ctx: object | undefined, address = '10.1.2.3') => {
        const { body } = await client.send(ctx && { ctx: JSON.stringify(ctx) }, from(address));
        assert.ok(body.access_token, JSON.stringify(body));
        return String(body.access_token);
      };

      const shown: [
        what: string,
        ctx: object | undefined,
        from: string,
        presenter: string | undefined,
        active: boolean,
      ][] = [
        ['a token without limits, from anywhere', undefined, '10.1.2.3', '192.0.2.1', true],
        ['a token without limits, nobody says from where', undefined, '10.1.2.3', undefined, true],
        ['from where it may be used', { ip: ['10.1.0.0/16'] }, '10.1.2.3', '10.1.9.9', true],
        ['the same in IPv6', { ip: ['10.1.0.0/16'] }, '10.1.2.3', '::ffff:10.1.9.9', true],
        ['from elsewhere', { ip: ['10.1.0.0/16'] }, '10.1.2.3', '10.2.0.1', false],
        ['nobody says from where', { ip: everywhere }, '10.1.2.3', undefined, false],
        ['from its country', { country: ['DE'] }, german, german, true],
        ['from another country', { country: ['DE'] }, german, austrian, false],
        ['from no country', { country: ['DE'] }, german, '10.1.2.3', false],
        ['nobody says from which country', { country: ['DE'] }, german, undefined, false],
        ['from its zone', { zone: ['eu-1'] }, '10.1.2.3', '10.1.0.1', true],
        ['from another zone', { zone: ['eu-1'] }, '10.1.2.3', '10.2.0.1', false],
        ['nobody says from which zone', { zone: ['eu-1'] }, '10.1.2.3', undefined, false],
        ['within its hours, nobody says from where', { hours: thisHour }, '10.1.2.3', undefined, true],
      ];
      for (const [what, ctx, origin, presenter, active] of shown) {
        test(what, async () => {
          const token = await tokenWith(ctx, origin);
          const { status, body } = await introspect(
            token,
            presenter === undefined ? {} : { presenter_address: presenter },
          );
          assert.equal(status, 200);
          assert.equal(body.active, active);
          assert.deepEqual(body, active ? { active, token_type: 'DPoP', ...claimsOf(token) } : { active });
        });
      }

      test('when its hour is over, and when the clock is set back', async () => {
        const token = await tokenWith({ hours: hours('UTC', '09:00', '09:05') });
        assert.equal((await introspect(token)).body.active, true);
        server.clock.advance(5 * 60_000);
        assert.equal((await introspect(token)).body.active, false);
        server.clock.advance(-60_000);
        assert.equal((await introspect(token)).body.active, true);
        server.clock.advance(-4 * 60_000);
      });

      test('the agent itself hears no more than the guard', async () => {
        const token = await tokenWith({ ip: ['10.1.0.0/16'] });
        const itself = { id: client.clientId, signer: client.signer };
        assert.equal((await introspect(token, { presenter_address: '10.2.0.1' }, itself)).body.active, false);
        assert.equal((await introspect(token, { presenter_address: '10.1.0.1' }, itself)).body.active, true);
      });

      test('an address that is none is refused, before anything else is', async () => {
        for (const presenter_address of [
          'unknown',
          '10.1.2.3:80',
          '[::1]',
          '10.1.0.0/16',
          'host.example',
          'fe80::1%eth0',
        ]) {
          const { status, body } = await introspect('any', { presenter_address });
          assert.deepEqual([status, body.error], [400, 'invalid_request'], presenter_address);
        }
      });

      test('that a token was replayed elsewhere is on record, its hour is not', async () => {
        const token = await tokenWith({ ip: ['10.1.0.0/16'], hours: thisHour });
        const { jti } = claimsOf(token);
        type Event = {
          type: string;
          jti: string;
          reason: string;
          personal: Record<string, unknown>;
          decided_on: object;
        };
        const events = async () => {
          const all = await server.admin<{ items: Event[] }>('GET', `/events?type=token.presented_outside`);
          return all.items.filter((event) => event.jti === jti);
        };
        await introspect(token, { presenter_address: '10.1.0.1' });
        await introspect(token);
        server.clock.advance(3_600_000 - 1);
        server.clock.advance(-3_600_000 + 1);
        assert.deepEqual(await events(), []);
        await introspect(token, { presenter_address: '203.0.113.66' });
        const [event, ...others] = await events();
        assert.deepEqual(others, []);
        assert.equal(event?.reason, 'the token was presented from outside of its context: ip');
        assert.deepEqual(event?.decided_on, { outside: 'ip' });
        assert.deepEqual(event?.personal.details, { presenter_address: '203.0.113.66' });
        const { personal: _sealed, ...open } = event as Event;
        assert.ok(!JSON.stringify(open).includes('203.0.113.66'), 'the address is sealed');
      });
    });

    test('a token of an administrator works at our own API where it may be used, and nowhere else', async () => {
      const operator = adminClient(server, server.operator);
      const admin = await administrator(server, operator, { scopes: ['agents:read'] });
      const here = ['127.0.0.1', '::1'];
      await operator.ok('PATCH', `/agents/${admin.agent}`, { context: { ip: [...here, '10.1.0.0/16'] } });
      assert.equal((await admin.call('GET', '/agents')).status, 200);
      assert.equal((await admin.call('GET', '/agents', undefined, from('10.1.2.3'))).status, 200);
      for (const address of ['10.2.0.1', 'unknown', '10.1.2.3, 192.0.2.1']) {
        const reply = await admin.call('GET', '/agents', undefined, from(address));
        assert.equal(reply.status, 401, address);
        assert.match(reply.headers.get('www-authenticate') ?? '', /invalid_token/);
        assert.doesNotMatch(reply.text, /10\.1\.0\.0/);
      }
    });
  });
}
