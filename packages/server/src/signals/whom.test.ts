/** Whom of ours a signal of others means. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { exportJWK, generateKeyPair } from 'jose';
import { databases } from '../testing/harness.ts';
import { issuer, type SignalSource, signalSource } from '../testing/signal-source.ts';
import { tokenClient } from '../testing/token-client.ts';

for (const database of databases) {
  describe(`whom signals mean, on ${database}`, () => {
    let idp: SignalSource;
    before(async () => {
      idp = await signalSource({ database });
    });
    after(() => idp.close());

    test('an agent is meant by its name, its id, a credential of a partner, its instance or who answers for it', async () => {
      await idp.server.admin('POST', '/trust-domains', {
        name: 'partner.example',
        bundle: {
          keys: [{ use: 'jwt-svid', kid: 'p', ...(await exportJWK((await generateKeyPair('ES256')).publicKey)) }],
        },
      });
      const client = await tokenClient(idp.server);
      const { items } = await idp.server.admin<{ items: { id: string; email: string }[] }>('GET', '/people?limit=200');
      const email = items.find(({ id }) => id === client.owner)?.email;
      await idp.server.admin('POST', '/credentials', {
        agent: client.clientId,
        kind: 'spiffe_id',
        spiffe_id: 'spiffe://partner.example/desk',
      });
      const own = await idp.subjectOf(client.clientId);
      const tenant = { format: 'opaque', id: 'somebody-elses' };
      for (const [subject, concerns] of [
        [own, 'agent'],
        [{ format: 'uri', uri: own.sub }, 'agent'],
        [{ format: 'opaque', id: client.clientId }, 'agent'],
        [{ format: 'iss_sub', iss: issuer, sub: 'spiffe://partner.example/desk' }, 'credential'],
        [{ format: 'email', email }, 'owner'],
        [{ format: 'complex', user: own, tenant, session: { format: 'opaque', id: 'x' } }, 'agent'],
        [{ format: 'aliases', identifiers: [{ format: 'email', email: 'nobody@x.example' }, own] }, 'agent'],
      ] as const) {
        const claims = await idp.tell('session-revoked', subject);
        assert.deepEqual(await idp.outcome(claims.jti), [['revoked', concerns]], JSON.stringify(subject));
      }
      // members that mean different ones mean nobody
      const other = await tokenClient(idp.server);
      const claims = await idp.tell('session-revoked', {
        format: 'complex',
        user: own,
        device: await idp.subjectOf(other.clientId),
      });
      assert.deepEqual(await idp.outcome(claims.jti), []);
    });

    test('nobody of another organization is meant, and nobody by what the source may not name', async () => {
      const { id: organization } = await idp.server.admin<{ id: string }>('POST', '/organizations', { name: 'others' });
      const theirs = await idp.made({}, `?organization=${organization}`);
      const client = await tokenClient(idp.server);
      for (const subject of [await idp.subjectOf(client.clientId), { format: 'opaque', id: client.clientId }]) {
        const claims = await idp.tell('session-revoked', subject, {}, theirs);
        assert.equal((await idp.heard(claims.jti, theirs)).length, 0, 'it stands in their log, not in ours');
      }
      const narrow = await idp.made({ subjects: ['agent'], events: ['session-revoked'] });
      const { items } = await idp.server.admin<{ items: { id: string; email: string }[] }>('GET', '/people?limit=200');
      const email = items.find(({ id }) => id === client.owner)?.email;
      const byEmail = await idp.tell('session-revoked', { format: 'email', email }, {}, narrow);
      assert.deepEqual(await idp.outcome(byEmail.jti, narrow), []);
      const risk = await idp.tell(
        'risk-level-change',
        await idp.subjectOf(client.clientId),
        { current_level: 'HIGH' },
        narrow,
      );
      assert.deepEqual(await idp.outcome(risk.jti, narrow), []);
      assert.equal(await idp.statusOf(client.clientId), 'active');
    });

    test('what a source may not name by means nobody, however it is written', async () => {
      const client = await tokenClient(idp.server);
      const own = await idp.subjectOf(client.clientId);
      const { items } = await idp.server.admin<{ items: { id: string; email: string }[] }>('GET', '/people?limit=200');
      const email = { format: 'email', email: items.find(({ id }) => id === client.owner)?.email };
      const nobody = { format: 'email', email: 'nobody@nowhere.example' };
      const byId = { format: 'opaque', id: client.clientId };
      const { body } = await client.send();
      const { jti } = JSON.parse(Buffer.from(String(body.access_token).split('.')[1] ?? '', 'base64url').toString());
      const byEmail = await idp.made({ subjects: ['email'] });
      const byCredential = await idp.made({ subjects: ['credential'] });
      const byAgent = await idp.made({ subjects: ['agent'] });
      const complex = (members: object) => ({ format: 'complex', ...members });
      for (const [subject, to, concerned] of [
        ...[own, byId, { format: 'uri', uri: own.sub }, { format: 'jwt_id', iss: idp.server.issuer, jti }].flatMap(
          (one) => [[one, byEmail, 0] as const, [one, byCredential, 0] as const, [one, byAgent, 1] as const],
        ),
        [{ format: 'aliases', identifiers: [nobody, own] }, byEmail, 0],
        // of another issuer
        [{ ...own, iss: 'https://somebody-else.example' }, byAgent, 0],
        [{ ...own, iss: issuer }, byAgent, 0],
        [{ format: 'iss_sub', iss: 'https://somebody-else.example', sub: client.clientId }, byAgent, 0],
        [{ format: 'jwt_id', iss: 'https://somebody-else.example', jti }, byAgent, 0],
        // one member is nobody here
        [complex({ user: nobody, device: byId }), idp.source, 0],
        [complex({ user: nobody, device: byId }), byAgent, 0],
        [complex({ device: byId, user: { format: 'opaque', id: 'agt_00000000000000000000000000' } }), byAgent, 0],
        [complex({ user: email, device: own }), byAgent, 1], // it may not name by address: only narrower by it
        [complex({ user: email, device: own }), byEmail, 1],
        [complex({ user: { format: 'opaque', id: 'their-own-id' }, device: own }), byAgent, 1],
        [complex({ user: own, session: { format: 'opaque', id: 'tsk_00000000000000000000000000' } }), byAgent, 1],
        [complex({ user: email }), byAgent, 0],
      ] as const) {
        const claims = await idp.tell('session-revoked', subject, {}, to);
        assert.equal((await idp.outcome(claims.jti, to))?.length, concerned, JSON.stringify(subject));
      }
    });

    test('a person whom a signal names by address is forgotten with it; who is nobody of ours is not kept', async () => {
      const email = `${randomUUID()}@example.com`;
      const { id: person } = await idp.server.admin<{ id: string }>('POST', '/people', { name: 'Ada', email });
      const stranger = `${randomUUID()}@example.com`;
      const known = await idp.tell(
        'session-revoked',
        { format: 'email', email },
        { reason_user: { en: `${email} left` } },
      );
      const unknown = await idp.tell('session-revoked', { format: 'email', email: stranger });
      const shown = async (jti: unknown) => JSON.stringify(await idp.heard(jti));
      assert.ok((await shown(known.jti)).includes(email));
      assert.equal((await shown(unknown.jti)).includes(stranger), false);
      await idp.server.admin('DELETE', `/people/${person}`);
      assert.equal((await shown(known.jti)).includes(email), false);
    });
  });
}
