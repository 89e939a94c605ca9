/** What signals of others may not do: more than policy allows, more than whoever registered them, and the same again. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { adminClient, administrator } from '../testing/admin-client.ts';
import { databases } from '../testing/harness.ts';
import { audience, issuer, type SignalSource, signalSource } from '../testing/signal-source.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`the power of signals, on ${database}`, () => {
    let idp: SignalSource;
    before(async () => {
      idp = await signalSource({ database });
    });
    after(() => idp.close());

    test('policy says what may be done: by default nothing, and whom it names stays', async () => {
      const client = await tokenClient(idp.server);
      const { name } = await idp.server.admin<{ name: string }>('GET', `/agents/${client.clientId}`);
      await idp.server.admin('POST', '/policies', {
        name: 'signals',
        text: `@id("spare") forbid (principal == Source::"idp", action == Action::"signal:apply", resource == Agent::"${name}");
@id("compliance") permit (principal, action == Action::"signal:apply", resource)
when { context.event == "device-compliance-change" && context has current_status && context.current_status == "not-compliant" && context.effect == "suspend" };`,
        reason: 'test',
      });
      const spared = await idp.tell('risk-level-change', await idp.subjectOf(client.clientId), {
        current_level: 'HIGH',
      });
      assert.deepEqual(await idp.outcome(spared.jti), [['recorded', 'agent']]);
      const other = await tokenClient(idp.server);
      const device = await idp.tell('device-compliance-change', await idp.subjectOf(other.clientId), {
        current_status: 'not-compliant',
      });
      assert.deepEqual(await idp.outcome(device.jti), [['suspended', 'agent']]);
    });

    test('who administers more than registering a source takes is stopped only by a policy that names them', async () => {
      const operator = adminClient(idp.server, idp.server.operator);
      const registrar = { scopes: ['signals:read', 'signals:write', 'revocations:read', 'revocations:write'] } as const;
      const mighty = await administrator(idp.server, operator, { scopes: ['agents:write'] });
      const equal = await administrator(idp.server, operator, { scopes: [...registrar.scopes] });
      const high = async (agent: string) => {
        const subject = { format: 'opaque', id: agent };
        return idp.outcome((await idp.tell('risk-level-change', subject, { current_level: 'HIGH' })).jti);
      };
      const session = await idp.tell('session-revoked', { format: 'opaque', id: mighty.agent });
      assert.deepEqual(await idp.outcome(session.jti), [['kept', 'agent']]);
      assert.deepEqual(await high(mighty.agent), [['kept', 'agent']]);
      assert.equal(await idp.statusOf(mighty.agent), 'active');
      assert.deepEqual(await high(equal.agent), [['suspended', 'agent']]);
      const { name } = await idp.server.admin<{ name: string }>('GET', `/agents/${mighty.agent}`);
      const policy = (head: string) =>
        `@id("one") permit (principal == Source::"idp", action == Action::"signal:apply", resource${head}) when { context.effect == "suspend" };`;
      const { id } = await idp.server.admin<{ id: string }>('POST', '/policies', {
        name: 'mighty',
        text: policy(''),
        reason: 'test',
      });
      assert.deepEqual(await high(mighty.agent), [['kept', 'agent']], 'for everybody is for nobody by name');
      await idp.server.admin('PATCH', `/policies/${id}`, { text: policy(` == Agent::"${name}"`), reason: 'test' });
      assert.deepEqual(await high(mighty.agent), [['suspended', 'agent']]);
      await idp.server.admin('PATCH', `/policies/${id}`, {
        text: policy(` == Agent::"nobody"`).replace('permit', 'forbid'),
        reason: 'test',
      });
    });

    test('who can not revoke can not say who is believed, nor that we believe ourselves', async () => {
      const operator = adminClient(idp.server, idp.server.operator);
      const narrow = await administrator(idp.server, operator, { scopes: ['signals:read', 'signals:write'] });
      const body = { name: 'mine', issuer, jwks_uri: 'https://evil.example/jwks', audience: [audience] };
      const refused = await narrow.call('POST', '/signal-sources', body);
      assert.deepEqual([refused.status, refused.body.missing_scope ?? 'revocations:write'], [403, 'revocations:write']);
      const moved = await narrow.call('PATCH', `/signal-sources/${idp.source.id}`, { jwks_uri: body.jwks_uri });
      assert.equal(moved.status, 403);
      const ourselves = await operator.call('POST', '/signal-sources', { ...body, issuer: idp.server.issuer });
      assert.equal(ourselves.status, 422);
    });

    test('nobody can end the last operator by a signal', async () => {
      await idp.server.admin('POST', '/policies', {
        name: 'operator',
        text: '@id("one") permit (principal == Source::"idp", action == Action::"signal:apply", resource in Role::"operator") when { context.effect == "suspend" };',
        reason: 'test',
      });
      const claims = await idp.tell(
        'risk-level-change',
        { format: 'opaque', id: idp.server.operator.client_id },
        { current_level: 'HIGH' },
      );
      const [event] = await idp.heard(claims.jti);
      assert.deepEqual(
        event?.decided_on.agents.map(({ effect, why }) => [effect, why]),
        [['kept', 'the last operator stays']],
      );
      assert.equal(await idp.statusOf(idp.server.operator.client_id), 'active');
    });
  });
}
