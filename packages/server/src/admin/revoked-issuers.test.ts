/** A trusted issuer is revoked like everything else: with its reach, by each of what can be done to it, and by the one road of all revocations. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { exchanged } from '../testing/exchange.ts';
import { feedGuard } from '../testing/feed-client.ts';
import { databases } from '../testing/harness.ts';
import { type IssuerScene, issuerScene } from '../testing/issuer-scene.ts';

for (const database of databases) {
  describe(`revoked issuers, on ${database}`, () => {
    let of: IssuerScene;
    let operator: AdminClient;
    let guard: AdminClient;
    before(async () => {
      of = await issuerScene(database);
      operator = adminClient(of.server, of.server.operator);
      const { agent, jwk } = await feedGuard(of.server, of.scene.api.id);
      guard = adminClient(of.server, { client_id: agent, jwk });
    });
    after(() => of.close());

    /** What came by the issuer, told apart by whether it lives. */
    const token = async () => (await of.exchangedId(await of.idToken())).token;
    const isAlive = async (one: string) => (await guard.introspect(one)).active;
    const revoke = (more: object = {}) =>
      operator.ok('POST', '/revocations', { subject: of.issuer.id, reason: 'a test', ...more });
    const status = async () => (await operator.ok('GET', `/trusted-issuers/${of.issuer.id}`)).status;

    test('it reaches whom its rules let act, and every token that came by it, however far it went', async () => {
      const server = await of.scene.agent();
      await of.server.admin('PATCH', `/resources/${of.scene.api.id}`, { served_by: [server.clientId] });
      const rules = [of.rule({ passing: { depth: 1 } })];
      await operator.ok('PATCH', `/trusted-issuers/${of.issuer.id}`, { rules });
      const first = await token();
      const { token: further, claims } = await exchanged(server, first);
      const reach = await operator.ok('GET', `/revocations/reach?subject=${of.issuer.id}`);
      assert.deepEqual(
        [reach.kind, reach.name, reach.effect, reach.effects, reach.over],
        ['trusted_issuer', of.idp.issuer, 'suspend', ['suspend', 'end', 'tokens'], false],
      );
      assert.deepEqual(reach.agents, { count: 1, more: false, names: [await nameOf(of.agent.clientId)] });
      assert.equal(reach.tokens.count, 2);
      assert.deepEqual(
        reach.resources.map(({ id }: { id: string }) => id),
        [of.scene.api.id],
      );
      await revoke({ effect: 'tokens' });
      assert.deepEqual([await isAlive(first), await isAlive(further)], [false, false]);
      const after = await operator.ok('GET', `/revocations/reach?subject=${of.issuer.id}`);
      assert.equal(after.tokens.count, 0);
      const { items } = await operator.ok('GET', `/trace?of=${claims.jti}`);
      assert.ok(
        items.some(({ event }: Item) => event.type === 'token.revoked'),
        'its story tells what ended it',
      );
    });
    const nameOf = async (id: string) => (await operator.ok('GET', `/agents/${id}`)).name;

    test('its tokens alone, until it is resumed, for good: each on record with its number', async () => {
      const [before, unlike] = [await token(), (await of.agent.send()).body.access_token];
      const { claims: kept } = await of.exchangedId(await of.idToken());
      const narrowed = await revoke({ effect: 'tokens' });
      assert.deepEqual([await isAlive(before), await isAlive(String(unlike)), await status()], [false, true, 'active']);

      const again = await token();
      const suspended = await revoke({ kind: 'trusted_issuer', subject: of.idp.issuer });
      assert.deepEqual([suspended.subject, suspended.effect], [of.issuer.id, 'suspend']);
      assert.deepEqual([await isAlive(again), await status()], [false, 'suspended']);
      const refused = await of.agent.send(of.idForm(await of.idToken()));
      assert.equal(refused.body.error, 'invalid_request');
      assert.equal((await revoke()).already, true);

      await operator.ok('POST', `/trusted-issuers/${of.issuer.id}/resume`);
      const last = await token();
      const ended = await revoke({ effect: 'end' });
      assert.equal(await isAlive(last), false);
      assert.equal((await operator.call('GET', `/trusted-issuers/${of.issuer.id}`)).status, 404);
      assert.equal((await revoke({ effect: 'end' })).already, true);
      const gone = await operator.call('POST', '/revocations', {
        kind: 'trusted_issuer',
        subject: of.idp.issuer,
        reason: 'a test',
      });
      assert.equal(gone.status, 404);

      const { items } = await operator.ok('GET', `/events?target=${of.issuer.id}&limit=50`);
      for (const [type, rev] of [
        ['token.revoked', narrowed.rev],
        ['trusted_issuer.suspended', suspended.rev],
        ['trusted_issuer.removed', ended.rev],
      ]) {
        const told = items.filter((one: { type: string }) => one.type === type);
        assert.ok(
          told.some((one: Told) => one.decided_on.changed.rev === rev),
          type,
        );
        const shown = await operator.ok('GET', `/revocations/${rev}`);
        assert.deepEqual([shown.kind, shown.subject], ['trusted_issuer', of.issuer.id]);
      }
      const { items: listed } = await operator.ok('GET', '/revocations?kind=trusted_issuer&limit=3');
      assert.deepEqual(
        listed.map(({ rev }: { rev: number }) => rev),
        [ended.rev, suspended.rev, narrowed.rev],
      );
      const story = await operator.ok('GET', `/trace?of=${kept.jti}`);
      const types = story.items.map(({ event }: Item) => event.type);
      assert.ok(types.includes('token.revoked'), 'the story of a token tells what ended it');
      const { resourceSpans } = await operator.ok('GET', `/trace/spans?of=${kept.jti}`);
      const { revoked_at } = await operator.ok('GET', `/revocations/${narrowed.rev}`);
      assert.equal(resourceSpans[0].scopeSpans[0].spans[1].endTimeUnixNano, `${Date.parse(revoked_at)}000000`);
    });

    test('nobody finds the issuers of another organization, or one who answers for agents alone', async () => {
      const { id } = await of.trust();
      await operator.ok('POST', '/organizations', { name: 'elsewhere' });
      const scopes = ['revocations:read', 'revocations:write'];
      const other = await administrator(of.server, operator, { scopes, organization: 'elsewhere' });
      const owner = await administrator(of.server, operator, { scopes: ['revocations:own'] });
      for (const [by, status] of [
        [other, 404],
        [owner, 403],
      ] as const) {
        assert.equal((await by.call('GET', `/revocations/reach?subject=${id}`)).status, status);
        assert.equal((await by.call('POST', '/revocations', { subject: id, reason: 'a test' })).status, status);
      }
      const by = { kind: 'trusted_issuer', subject: of.idp.issuer, reason: 'a test' };
      assert.equal((await other.call('POST', '/revocations', by)).status, 404);
      assert.equal((await operator.ok('GET', `/trusted-issuers/${id}`)).status, 'active');
    });
  });
}

interface Item {
  event: { type: string };
}

interface Told {
  decided_on: { changed: { rev?: number } };
}
