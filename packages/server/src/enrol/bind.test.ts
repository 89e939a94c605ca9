/** Instances whose tokens are bound to where they enrolled from: the template's `bind`. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type InstanceClient, instanceClient, newSigner } from '../testing/instance-client.ts';
import { tokenClient } from '../testing/token-client.ts';

const german = '5.9.0.1';
const germanToo = '5.9.0.2';
const austrian = '193.171.0.1';
const from = (address: string) => ({ 'x-forwarded-for': address });
const claimsOf = (token: unknown) => parseCompact(String(token)).payload;

for (const database of databases) {
  describe(`instances that are bound to a place (${database})`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { context: { zones: { 'eu-1': ['10.1.0.0/16'] } } } });
      Object.assign(server.deps.config, { trusted_proxies: ['127.0.0.1', '::1'] });
    });
    after(() => server.close());

    async function boundTo(bind: string[], context: object = {}) {
      const client = await tokenClient(server, { agent: { context, instances: { bind } } });
      return { client, at: instanceClient(server, client) };
    }

    /** Enrols with a token that says these attributes. */
    async function enrolled(at: InstanceClient, address: string, attributes: Record<string, string> = {}) {
      const { secret } = await at.token({ attributes });
      const signer = await newSigner();
      const { status, body } = await at.enrol({ signer, token: secret, headers: from(address) });
      assert.equal(status, 201, JSON.stringify(body));
      return { id: body.instance as string, signer, answer: body };
    }

    test('to its address: tokens from there, for there, and from nowhere else', async () => {
      const { at } = await boundTo(['address']);
      const instance = await enrolled(at, '10.1.2.3');
      const good = await at.tokenOf(instance, {}, from('10.1.2.3'));
      assert.deepEqual(claimsOf(good.body.access_token).ctx, { ip: ['10.1.2.3'] });
      const asked = {
        ctx: JSON.stringify({ ip: ['0.0.0.0/0'], hours: [{ tz: 'UTC', windows: [{ from: '00:00', to: '24:00' }] }] }),
      };
      const narrower = await at.tokenOf(instance, asked, from('10.1.2.3'));
      assert.deepEqual((claimsOf(narrower.body.access_token).ctx as { ip: string[] }).ip, ['10.1.2.3']);
      const elsewhere = await at.tokenOf(instance, {}, from('10.1.2.4'));
      assert.deepEqual([elsewhere.status, elsewhere.body.error], [400, 'access_denied']);
    });

    test('to its country', async () => {
      const { at } = await boundTo(['country']);
      const instance = await enrolled(at, german);
      const { body } = await at.tokenOf(instance, {}, from(germanToo));
      assert.deepEqual(claimsOf(body.access_token).ctx, { country: ['DE'] });
      assert.equal((await at.tokenOf(instance, {}, from(austrian))).body.error, 'access_denied');
    });

    test('to its zone: by its networks, or by who made its enrolment token, and never by its own word', async () => {
      const { at } = await boundTo(['zone']);
      const inside = await enrolled(at, '10.1.2.3');
      const { body } = await at.tokenOf(inside, {}, from('10.1.9.9'));
      const { ctx, zone } = claimsOf(body.access_token);
      assert.deepEqual([ctx, zone], [{ zone: ['eu-1'] }, undefined]);
      assert.equal((await at.tokenOf(inside, {}, from('192.0.2.1'))).body.error, 'access_denied');

      const vouched = await enrolled(at, '192.0.2.1', { zone: 'us-1' });
      const claims = claimsOf((await at.tokenOf(vouched, {}, from('198.51.100.1'))).body.access_token);
      assert.deepEqual([claims.ctx, claims.zone], [{ zone: ['us-1'] }, 'us-1']);

      for (const [attributes, declared] of [
        [{}, { zone: 'us-1' }],
        [{ zone: 'eu-1' }, {}], // its networks are known, and it is in none of them
        [{ zone: 'no name' }, {}],
      ]) {
        const { secret } = await at.token({ attributes });
        const reply = await at.enrol({ token: secret, body: { attributes: declared }, headers: from('192.0.2.1') });
        assert.deepEqual([reply.status, reply.body.error], [400, 'access_denied'], JSON.stringify(attributes));
      }
    });

    test('what it would be bound to has to be known, or it is not enrolled, and its enrolment token is not used up', async () => {
      const { at } = await boundTo(['country']);
      const { secret } = await at.token();
      const unknown = await at.enrol({ token: secret, headers: from('10.1.2.3') });
      assert.deepEqual([unknown.status, unknown.body.error], [400, 'access_denied']);
      assert.match(unknown.body.error_description, /country/);
      assert.equal((await at.enrol({ token: secret, headers: from(german) })).status, 201);
    });

    test('who is nowhere that a proxy can tell is bound to nothing', async () => {
      const { at } = await boundTo(['address']);
      const { secret } = await at.token();
      assert.equal((await at.enrol({ token: secret, headers: from('unknown') })).body.error, 'access_denied');
    });

    test('a stolen key does not move it: it renews and has children from where it is bound to', async () => {
      const { at } = await boundTo(['address']);
      const instance = await enrolled(at, '10.1.2.3');
      const headers = from('203.0.113.66');
      for (const reply of [
        await at.call(instance, 'POST', '/renew', {}, { headers }),
        await at.child(instance, {}, undefined, headers),
      ]) {
        assert.deepEqual([reply.status, reply.body.error], [400, 'access_denied']);
      }
      const child = await at.child(instance, {}, undefined, from('10.1.2.3'));
      assert.equal(child.status, 201);
      assert.equal((await at.tokenOf(child, {}, from('203.0.113.66'))).body.error, 'access_denied');
      assert.equal((await at.call(instance, 'POST', '/renew', {}, { headers: from('10.1.2.3') })).status, 200);
      const { body } = await at.tokenOf(instance, {}, from('10.1.2.3'));
      assert.deepEqual(claimsOf(body.access_token).ctx, { ip: ['10.1.2.3'] });
    });

    test('within its country it may renew from another address', async () => {
      const { at } = await boundTo(['country']);
      const instance = await enrolled(at, german);
      const renewed = await at.call(instance, 'POST', '/renew', {}, { headers: from(germanToo) });
      assert.equal(renewed.status, 200);
      assert.equal(renewed.body.attributes.address.value, germanToo);
      assert.equal(
        (await at.call(instance, 'POST', '/renew', {}, { headers: from(austrian) })).body.error,
        'access_denied',
      );
    });

    test('with the limits of the agent: both hold, or there is no token', async () => {
      const { at } = await boundTo(['address'], { ip: ['10.1.0.0/16'], country: ['DE'] });
      const instance = await enrolled(at, '192.0.2.1');
      const { body } = await at.tokenOf(instance, {}, from('192.0.2.1'));
      assert.equal(body.error, 'access_denied');
    });

    test('the token that comes with an enrolment is bound as every other', async () => {
      const { at } = await boundTo(['address']);
      const { secret } = await at.token();
      const { status, body } = await at.enrol({ token: secret, body: { token: {} }, headers: from('10.1.2.3') });
      assert.equal(status, 201, JSON.stringify(body));
      assert.deepEqual(claimsOf(body.token.access_token).ctx, { ip: ['10.1.2.3'] });
    });

    test('a new binding ends the tokens of instances, and not the instances', async () => {
      const { client, at } = await boundTo([]);
      const instance = await enrolled(at, '10.1.2.3');
      const before = (await at.tokenOf(instance, {}, from('192.0.2.1'))).body.access_token;
      assert.equal(claimsOf(before).ctx, undefined);
      await server.admin('PATCH', `/agents/${client.clientId}`, { instances: { bind: ['address'] } });
      assert.equal((await at.introspect(before)).active, false);
      const { body } = await at.tokenOf(instance, {}, from('10.1.2.3'));
      assert.deepEqual(claimsOf(body.access_token).ctx, { ip: ['10.1.2.3'] });
    });
  });
}
