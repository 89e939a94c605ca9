/** Signals that others push to us: what they do, once. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { exportJWK, generateKeyPair } from 'jose';
import { databases } from '../testing/harness.ts';
import { caep, type SignalSource, signalSource } from '../testing/signal-source.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`signals that are heard, on ${database}`, () => {
    let idp: SignalSource;
    before(async () => {
      idp = await signalSource({ database });
    });
    after(() => idp.close());

    for (const [what, type, says, effect] of [
      ['a revoked session ends tokens', 'session-revoked', {}, 'revoked'],
      [
        'a revoked credential suspends',
        'credential-change',
        { change_type: 'revoke', credential_type: 'x509' },
        'suspended',
      ],
      [
        'a deleted credential suspends',
        'credential-change',
        { change_type: 'delete', credential_type: 'app' },
        'suspended',
      ],
      [
        'a new credential is recorded',
        'credential-change',
        { change_type: 'create', credential_type: 'app' },
        'recorded',
      ],
      ['high risk suspends', 'risk-level-change', { current_level: 'HIGH', principal: 'USER' }, 'suspended'],
      ['low risk is recorded', 'risk-level-change', { current_level: 'LOW', principal: 'USER' }, 'recorded'],
      [
        'a device out of compliance is recorded',
        'device-compliance-change',
        { current_status: 'not-compliant', previous_status: 'compliant' },
        'recorded',
      ],
      [
        'less assurance is recorded',
        'assurance-level-change',
        { namespace: 'NIST-AAL', current_level: 'nist-aal1' },
        'recorded',
      ],
      ['other claims are recorded', 'token-claims-change', { claims: { role: 'x' } }, 'recorded'],
    ] as const) {
      test(what, async () => {
        const client = await tokenClient(idp.server);
        const { body: before } = await client.send();
        const claims = await idp.tell(type, await idp.subjectOf(client.clientId), says);
        assert.deepEqual(await idp.outcome(claims.jti), [[effect, 'agent']]);
        assert.equal(await idp.statusOf(client.clientId), effect === 'suspended' ? 'suspended' : 'active');
        assert.equal(await isAlive(client, before.access_token), effect === 'recorded');
        assert.equal((await client.send()).status === 200, effect !== 'suspended');
      });
    }

    /** Whether the agent's own token can still be given up: one that is dead leaves no event. */
    async function isAlive(client: TokenClient, token: unknown): Promise<boolean> {
      const { items: before } = await revocations(client);
      const form = await client.form({ token: String(token) });
      delete form.grant_type;
      await fetch(`${idp.server.issuer}/oauth2/revoke`, { method: 'POST', body: new URLSearchParams(form) });
      return (await revocations(client)).items.length > before.length;
    }
    const revocations = (client: TokenClient) =>
      idp.server.admin<{ items: unknown[] }>('GET', `/events?type=token.revoked&agent=${client.clientId}`);

    test('the same signal does something once, however often and at once it comes', async () => {
      const client = await tokenClient(idp.server);
      const claims = idp.claimsOf(`${caep}risk-level-change`, await idp.subjectOf(client.clientId), {
        current_level: 'HIGH',
      });
      const set = await idp.sign(claims);
      const answers = await Promise.all(Array.from({ length: 8 }, () => idp.push(set)));
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
      assert.equal((await idp.heard(claims.jti)).length, 1);
      await idp.server.admin('POST', `/agents/${client.clientId}/resume`);
      assert.equal((await idp.push(await idp.sign(claims))).status, 202);
      assert.equal(await idp.statusOf(client.clientId), 'active');
    });

    test('what is about the stream itself is taken, and does nothing', async () => {
      const ssf = 'https://schemas.openid.net/secevent/ssf/event-type/';
      const claims = idp.claimsOf(`${ssf}verification`, { format: 'opaque', id: 'their-stream' }, { state: 'x' });
      assert.equal((await idp.push(await idp.sign(claims))).status, 202);
      assert.deepEqual(await idp.outcome(claims.jti), []);
    });

    test('a new key of the source is found, but not asked for all the time', async () => {
      const next = await generateKeyPair('ES256');
      const before = idp.other.jwks;
      const claims = () => idp.claimsOf(`${caep}session-revoked`, { format: 'opaque', id: 'x' });
      const signed = () => idp.sign(claims(), { alg: 'ES256', kid: 'two' }, next.privateKey);
      assert.equal((await idp.push(await signed())).body.err, 'invalid_key');
      idp.other.jwks = [...idp.other.jwks, { ...(await exportJWK(next.publicKey)), kid: 'two' }];
      assert.equal((await idp.push(await signed())).body.err, 'invalid_key');
      idp.server.clock.advance(31_000);
      assert.equal((await idp.push(await signed())).status, 202);
      // one that was taken away is gone within the hour
      idp.other.jwks = before;
      idp.server.clock.advance(61 * 60_000);
      assert.equal((await idp.push(await signed())).body.err, 'invalid_key');
      assert.equal((await idp.push(await idp.sign(claims()))).status, 202);
    });

    test('text of somebody outside is kept in no leaf', async () => {
      const claims = {
        ...idp.claimsOf('https://evil.example/call Wanda \u001b[31m', { format: 'opaque', id: 'x' }),
        jti: `call Wanda ${randomUUID()}`,
        txn: 'Wanda Erasable',
      };
      assert.equal((await idp.push(await idp.sign(claims))).status, 202);
      const { items } = await idp.server.admin<{
        items: { decided_on: { set: string; txn: string; event: string } }[];
      }>('GET', `/events?type=signal.received&target=${idp.source.id}&limit=1`);
      const [event] = items;
      assert.equal(event?.decided_on.event, 'unknown');
      assert.match(event?.decided_on.set ?? '', /^sha256:/);
      assert.doesNotMatch(JSON.stringify(event?.decided_on), /Wanda/);
      assert.equal((await idp.push(await idp.sign(claims))).status, 202, 'known by its id all the same');
    });
  });
}
