/** Where and when a token may be used, as the guard enforces it: on each request, before anybody is asked. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TokenContext } from '@bailiwick/protocol';
import { createGuard, type DecisionRecord, GuardConfigError, type GuardOptions } from './index.ts';
import { fakeAgent, fakeClock, fakeIssuer } from './testing/fake-issuer.ts';

const german = '5.9.0.1';
const austrian = '193.171.0.1';

interface Shown {
  ctx?: TokenContext;
  /** What the token says of its instance. */
  zone?: string;
  from?: string | undefined;
  headers?: Record<string, string[]>;
  options?: Partial<GuardOptions>;
  at?: string;
}

/** Shows a token to an offline guard; answers the reason of the refusal, or undefined if it was let in. */
async function shown({ ctx, zone, from, headers = {}, options = {}, at }: Shown): Promise<string | undefined> {
  const fake = await fakeIssuer(fakeClock(at === undefined ? undefined : Date.parse(at)));
  const agent = await fakeAgent(fake);
  let record: DecisionRecord | undefined;
  const onDecision = (decided: DecisionRecord) => {
    record = decided;
  };
  const guard = createGuard(fake.options({ mode: 'offline', onDecision, ...options }));
  const request = await agent.request('GET', '/tickets', { claims: { ctx, zone } });
  const decision = await guard.decide({ ...request, headers: { ...request.headers, ...headers }, remoteAddress: from });
  assert.equal(decision.allowed ? 200 : decision.status, record?.reason === undefined ? 200 : 401);
  return record?.reason;
}

const hours = (tz: string, from: string, to: string): TokenContext => ({ hours: [{ tz, windows: [{ from, to }] }] });
const zones = { 'eu-1': ['10.1.0.0/16'], 'eu-2': ['10.2.0.0/16', '2001:db8:2::/48'] };
const proxied = { trustedProxies: ['10.0.0.0/8'] };

const table: [what: string, shown: Shown, reason: string | undefined][] = [
  ['no limits, no address', {}, undefined],
  ['an address inside', { ctx: { ip: ['192.0.2.0/24'] }, from: '192.0.2.9' }, undefined],
  ['an address inside, as IPv6', { ctx: { ip: ['192.0.2.0/24'] }, from: '::ffff:192.0.2.9' }, undefined],
  ['the same in hexadecimal', { ctx: { ip: ['192.0.2.0/24'] }, from: '::ffff:c000:209' }, undefined],
  ['another address', { ctx: { ip: ['192.0.2.0/24'] }, from: '192.0.3.9' }, 'ctx.ip'],
  ['no address', { ctx: { ip: ['0.0.0.0/0', '::/0'] } }, 'ctx.ip'],
  ['a country', { ctx: { country: ['DE'] }, from: german }, undefined],
  ['a country, as IPv6', { ctx: { country: ['DE'] }, from: `::ffff:${german}` }, undefined],
  ['one of several countries', { ctx: { country: ['AT', 'DE'] }, from: austrian }, undefined],
  ['another country', { ctx: { country: ['DE'] }, from: austrian }, 'ctx.country'],
  ['an address without a country', { ctx: { country: ['DE'] }, from: '10.0.0.1' }, 'ctx.country'],
  ['a private address that a registry has', { ctx: { country: ['AU'] }, from: '192.168.1.1' }, 'ctx.country'],
  ['no address, and so no country', { ctx: { country: ['DE'] } }, 'ctx.country'],
  ['a zone by its networks', { ctx: { zone: ['eu-1'] }, from: '10.1.2.3', options: { zones } }, undefined],
  ['another zone', { ctx: { zone: ['eu-1'] }, from: '10.2.2.3', options: { zones } }, 'ctx.zone'],
  ['no zone', { ctx: { zone: ['eu-1'] }, from: '10.3.2.3', options: { zones } }, 'ctx.zone'],
  ['a zone that nobody knows', { ctx: { zone: ['moon-1'] }, from: '10.1.2.3', options: { zones } }, 'ctx.zone'],
  ['a zone by the token', { ctx: { zone: ['eu-1'] }, zone: 'eu-1', from: '192.0.2.1' }, undefined],
  ['another zone by the token', { ctx: { zone: ['eu-1'] }, zone: 'eu-2', from: '192.0.2.1' }, 'ctx.zone'],
  [
    'networks tell better than the token',
    { ctx: { zone: ['eu-1'] }, zone: 'eu-1', from: '10.2.0.1', options: { zones } },
    'ctx.zone',
  ],
  [
    'who is in none of the zone’s networks is not in it, whatever the token says',
    { ctx: { zone: ['eu-1'] }, zone: 'eu-1', from: '192.0.2.1', options: { zones } },
    'ctx.zone',
  ],
  [
    'of a zone without networks the token tells',
    { ctx: { zone: ['us-1'] }, zone: 'us-1', from: '192.0.2.1', options: { zones } },
    undefined,
  ],
  ['hours', { ctx: hours('Europe/Berlin', '08:00', '18:00'), at: '2026-11-23T08:00:00+01:00' }, undefined],
  ['too early', { ctx: hours('Europe/Berlin', '08:00', '18:00'), at: '2026-11-23T07:59:59+01:00' }, 'ctx.hours'],
  ['too late', { ctx: hours('Europe/Berlin', '08:00', '18:00'), at: '2026-11-23T18:00:00+01:00' }, 'ctx.hours'],
  [
    'an hour that is left out',
    { ctx: hours('Europe/Berlin', '02:00', '03:00'), at: '2026-03-29T01:00:00Z' },
    'ctx.hours',
  ],
  [
    'an hour that comes twice',
    { ctx: hours('Europe/Berlin', '02:00', '03:00'), at: '2026-10-25T01:30:00Z' },
    undefined,
  ],
  [
    'hours of two that don’t meet',
    {
      ctx: { hours: [...hours('UTC', '10:00', '12:00').hours!, ...hours('Asia/Tokyo', '20:00', '22:00').hours!] },
      at: '2026-11-23T10:30:00Z',
    },
    'ctx.hours',
  ],
  [
    'all at once',
    {
      ctx: { ip: ['5.9.0.0/16'], country: ['DE'], zone: ['hall'], ...hours('UTC', '12:00', '13:00') },
      from: german,
      options: { zones: { hall: ['5.9.0.0/24'] } },
      at: '2026-11-23T12:30:00Z',
    },
    undefined,
  ],
  [
    'through a proxy',
    { ctx: { ip: ['192.0.2.9'] }, from: '10.0.0.1', headers: { 'x-forwarded-for': ['192.0.2.9'] }, options: proxied },
    undefined,
  ],
  [
    'the proxy itself is not meant',
    { ctx: { ip: ['10.0.0.1'] }, from: '10.0.0.1', headers: { 'x-forwarded-for': ['192.0.2.9'] }, options: proxied },
    'ctx.ip',
  ],
  [
    'a forged header',
    {
      ctx: { ip: ['192.0.2.9'] },
      from: '198.51.100.1',
      headers: { 'x-forwarded-for': ['192.0.2.9'] },
      options: proxied,
    },
    'ctx.ip',
  ],
  [
    'a forged header before the proxy’s word',
    {
      ctx: { ip: ['192.0.2.9'] },
      from: '10.0.0.1',
      headers: { 'x-forwarded-for': ['192.0.2.9, 198.51.100.1'] },
      options: proxied,
    },
    'ctx.ip',
  ],
  [
    'a forged line before the proxy’s',
    {
      ctx: { ip: ['192.0.2.9'] },
      from: '10.0.0.1',
      headers: { 'x-forwarded-for': ['192.0.2.9', '198.51.100.1'] },
      options: proxied,
    },
    'ctx.ip',
  ],
  [
    'the header that the proxy does not know',
    {
      ctx: { ip: ['192.0.2.9'] },
      from: '10.0.0.1',
      headers: { forwarded: ['for=192.0.2.9'], 'x-forwarded-for': ['198.51.100.1'] },
      options: proxied,
    },
    'ctx.ip',
  ],
  [
    'the same the other way round',
    {
      ctx: { ip: ['192.0.2.9'] },
      from: '10.0.0.1',
      headers: { forwarded: ['for=198.51.100.1'], 'x-forwarded-for': ['192.0.2.9'] },
      options: { ...proxied, forwardedHeader: 'forwarded' },
    },
    'ctx.ip',
  ],
  [
    'Forwarded, where it is chosen',
    {
      ctx: { ip: ['192.0.2.9'] },
      from: '10.0.0.1',
      headers: { forwarded: ['for=192.0.2.9;proto=https'] },
      options: { ...proxied, forwardedHeader: 'forwarded' },
    },
    undefined,
  ],
  [
    'Forwarded with IPv6 and port',
    {
      ctx: { ip: ['2001:db8::/32'] },
      from: '10.0.0.1',
      headers: { forwarded: ['for="[2001:db8::7]:4711"'] },
      options: { ...proxied, forwardedHeader: 'forwarded' },
    },
    undefined,
  ],
  [
    'a proxy that names nobody',
    {
      ctx: { ip: ['0.0.0.0/0', '::/0'] },
      from: '10.0.0.1',
      headers: { 'x-forwarded-for': ['unknown'] },
      options: proxied,
    },
    'ctx.ip',
  ],
];

for (const [what, request, reason] of table) {
  test(`${reason === undefined ? 'let in' : 'refused'}: ${what}`, async () =>
    assert.equal(await shown(request), reason));
}

test('a token that was let in is refused from another address, and when its hour is over', async () => {
  const fake = await fakeIssuer(fakeClock(Date.parse('2026-11-23T12:55:00Z')));
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options({ mode: 'offline' }));
  const token = await agent.token({ ctx: { ip: ['192.0.2.9'], ...hours('UTC', '12:00', '13:00') } });
  const status = async (remoteAddress: string) => {
    const decision = await guard.decide({ ...(await agent.request('GET', '/tickets', { token })), remoteAddress });
    return decision.allowed ? 200 : decision.status;
  };
  assert.equal(await status('192.0.2.9'), 200);
  assert.equal(await status('192.0.2.8'), 401);
  fake.clock.advance(299_999);
  assert.equal(await status('192.0.2.9'), 200);
  fake.clock.advance(1);
  assert.equal(await status('192.0.2.9'), 401);
  fake.clock.advance(-60_000);
  assert.equal(await status('192.0.2.9'), 200, 'the clock was set back');
});

test('who is outside is told where not to be, and nothing of where to be', async () => {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options({ mode: 'offline' }));
  const request = await agent.request('GET', '/tickets', { claims: { ctx: { ip: ['203.0.113.77'] } } });
  const decision = await guard.decide({ ...request, remoteAddress: '192.0.2.9' });
  assert.ok(!decision.allowed);
  assert.equal(decision.problem?.detail, 'The access token may not be used from this address.');
  assert.ok(!JSON.stringify(decision).includes('203.0.113'));
});

test('a guard that asks says from where the token was shown, and believes the answer for there alone', async () => {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options());
  const token = await agent.token({ ctx: { ip: ['192.0.2.0/24'] } });
  const status = async (remoteAddress: string) => {
    const decision = await guard.decide({ ...(await agent.request('GET', '/tickets', { token })), remoteAddress });
    return decision.allowed ? 200 : decision.status;
  };
  fake.outside.add('192.0.2.66');
  assert.equal(await status('192.0.2.1'), 200);
  assert.equal(await status('192.0.2.1'), 200);
  assert.equal(await status('::ffff:192.0.2.1'), 200);
  assert.equal(await status('192.0.2.66'), 401);
  assert.equal(await status('192.0.2.1'), 200, 'what was said of another address changes nothing here');
  assert.equal(await status('198.51.100.1'), 401, 'and this nobody needs to be asked');
  assert.deepEqual(fake.presented, ['192.0.2.1', '192.0.2.66']);
  for (let i = 2; i < 12; i++) await status(`192.0.2.${i}`);
  assert.equal(fake.presented.length, 12);
  fake.clock.advance(2000);
  assert.equal(await status('192.0.2.1'), 200);
  assert.equal(fake.presented.at(-1), '192.0.2.1');
});

test('of a token without limits in place nobody hears the address', async () => {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options());
  const token = await agent.token({ ctx: hours('UTC', '00:00', '24:00') });
  for (const remoteAddress of ['192.0.2.1', '192.0.2.2', undefined]) {
    const decision = await guard.decide({ ...(await agent.request('GET', '/tickets', { token })), remoteAddress });
    assert.ok(decision.allowed);
  }
  assert.deepEqual(fake.presented, [undefined]);
});

test('options that can not be meant are refused', async () => {
  const fake = await fakeIssuer();
  const folder = await mkdtemp(path.join(tmpdir(), 'bailiwick-'));
  const other = path.join(folder, 'countries.mmdb');
  writeFileSync(other, 'countries');
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ forwardedHeader: 'x-real-ip' }, /forwardedHeader must be "x-forwarded-for" or "forwarded"/],
    [{ trustedProxies: ['0.0.0.0/0'] }, /trustedProxies: a network of everybody/],
    [{ trustedProxies: ['::/0'] }, /trustedProxies: a network of everybody/],
    [{ trustedProxies: ['proxy.example'] }, /trustedProxies: "proxy\.example"/],
    [{ countryFile: path.join(folder, 'missing.mmdb') }, /countryFile can't be used: ENOENT/],
    [{ countryFile: other }, /countryFile can't be used: it is no MMDB file/],
    [{ zones: { 'eu 1': ['10.0.0.0/8'] } }, /zones: "eu 1" is no name of a zone/],
    [{ zones: { a: ['10.0.0.0/8'], b: ['10.0.0.0/8'] } }, /zones: 10\.0\.0\.0\/8 can't be in both/],
  ];
  for (const [options, message] of wrong) {
    assert.throws(
      () => createGuard(fake.options(options)),
      (error) => error instanceof GuardConfigError && message.test(error.message),
      String(message),
    );
  }
  await rm(folder, { recursive: true });
});
