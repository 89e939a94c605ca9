/** Acting for somebody on the word of a trusted issuer: what the token says, what bounds it, what ends it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { linkTag, thumbprint } from '@bailiwick/protocol';
import { exchanged, exchangeOf } from '../testing/exchange.ts';
import { databases } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { audience, type IssuerScene, issuerScene } from '../testing/issuer-scene.ts';
import type { TokenClient } from '../testing/token-client.ts';

const jwtType = 'urn:ietf:params:oauth:token-type:jwt';

for (const database of databases) {
  describe(`tokens of trusted issuers, on ${database}`, () => {
    let of: IssuerScene;
    before(async () => {
      of = await issuerScene(database);
    });
    after(() => of.close());

    const spiffe = async (client: TokenClient) =>
      (await of.server.admin<{ subject: string }>('GET', `/agents/${client.clientId}`)).subject;
    const isActive = async (token: string, client = of.agent) =>
      (await instanceClient(of.server, client).introspect(token)).active;
    const refused = async (form: Record<string, string>, error: string, by: TokenClient = of.agent) => {
      const { status, body } = await by.send(form);
      assert.deepEqual([status, body.error], [400, error], JSON.stringify(body));
      return String(body.error_description);
    };
    /** A provider that only this test trusts, with a rule of its own. */
    const another = async (ruleMore: object = {}, more: object = {}) => {
      const idp = await of.provider();
      const { id } = await of.trust({ issuer: idp.issuer, rules: [of.rule(ruleMore)], ...more });
      const { id: person } = await of.server.admin<{ id: string }>('POST', '/people', {
        name: 'Somebody',
        identities: [{ issuer: idp.issuer, subject: 'x' }],
      });
      const idToken = (claims: object = {}) => idp.sign(idp.claims({ sub: 'x', aud: audience, ...claims }));
      return { idp, id, person, idToken };
    };

    test('the token names the person and the actor, links issuer and person, and says by which rule', async () => {
      const { claims, body, token } = await of.exchangedId(await of.idToken());
      const { sub, sub_profile, act, scope, aud, issuer_rule, mandate } = claims;
      assert.deepEqual(
        { sub, sub_profile, act, scope, aud, issuer_rule, mandate },
        {
          sub: of.scene.person,
          sub_profile: 'user',
          act: { sub: await spiffe(of.agent), iss: of.server.issuer, sub_profile: 'ai_agent' },
          scope: 'book pay',
          aud: of.scene.api.identifier,
          issuer_rule: { issuer: of.issuer.id, rule: 'staff' },
          mandate: undefined,
        },
      );
      for (const id of [of.issuer.id, of.scene.person, of.scene.api.id]) assert.ok(claims.links.includes(linkTag(id)));
      assert.equal(body.narrowed, undefined);
      assert.ok(await isActive(token));
    });

    test('on record by issuer and rule; what the issuer calls the person is not', async () => {
      const { claims } = await of.exchangedId(await of.idToken());
      const { items } = await of.server.admin<{ items: Record<string, never>[] }>('GET', `/events?jti=${claims.jti}`);
      const { personal, ...open } = items[0] as unknown as {
        personal: { person: string };
        decided_on: { issuer_rule: object };
      };
      assert.deepEqual(open.decided_on.issuer_rule, { issuer: of.issuer.id, rule: 'staff' });
      assert.equal(personal.person, of.scene.person);
      for (const secret of [of.subject, of.scene.person]) assert.ok(!JSON.stringify(open).includes(secret));
    });

    test('access tokens as well, by either name, and each as often as it lives', async () => {
      const token = await of.accessToken();
      for (const type of [undefined, jwtType, jwtType]) {
        const { claims } = await exchanged(of.agent, token, type ? { subject_token_type: type } : {});
        assert.equal(claims.sub, of.scene.person);
      }
      const { claims } = await exchanged(of.agent, await of.idToken(), { subject_token_type: jwtType });
      assert.equal(claims.sub, of.scene.person);
    });

    test('nothing is wider than the rule, nor than the roles', async () => {
      const token = await of.idToken();
      const { claims } = await of.exchangedId(token, { scope: 'book' });
      assert.equal(claims.scope, 'book');
      const says = await refused(of.idForm(token, { scope: 'book read' }), 'invalid_scope');
      assert.match(says, new RegExp(`rule staff of ${of.issuer.id} does not allow read`));
      const details = '[{"type":"payment","amount":1,"currency":"EUR"}]';
      await refused(of.idForm(token, { authorization_details: details }), 'invalid_authorization_details');
      await refused(of.idForm(token, { resource: of.agent.identifier }), 'invalid_target');
    });

    test('nothing lives longer than the rule lets it, nor than the token that was shown', async () => {
      const { idToken, id } = await another({ max_lifetime_seconds: 90 });
      const byRule = await of.exchangedId(await idToken());
      assert.equal(byRule.body.expires_in, 90);
      assert.deepEqual(byRule.body.narrowed, [{ what: 'lifetime', by: `rule staff of ${id}` }]);
      const now = Math.floor(of.server.clock.now() / 1000);
      const byToken = await of.exchangedId(await idToken({ exp: now + 30 }));
      assert.deepEqual(
        [byToken.body.expires_in, byToken.body.narrowed],
        [30, [{ what: 'lifetime', by: 'subject_token' }]],
      );
      const byAge = await of.exchangedId(await idToken({ iat: now - 3580, exp: now + 9999 }));
      assert.equal(byAge.body.expires_in, 20);
    });

    test('the scope of an access token is a bound where the rule says so', async () => {
      const { idp, idToken } = await another({ within_scope: true });
      const shown = (scope?: string) =>
        idp.sign(idp.claims({ sub: 'x', aud: audience, client_id: 'web', scope }), { typ: 'at+jwt' });
      const { claims, body } = await exchanged(of.agent, await shown('openid book'));
      assert.deepEqual([claims.scope, body.narrowed], ['book', [{ what: 'scope', value: 'pay', by: 'subject_token' }]]);
      await refused(exchangeOf(await shown('openid book'), { scope: 'pay' }), 'invalid_scope');
      await refused(exchangeOf(await shown()), 'invalid_scope');
      assert.equal((await of.exchangedId(await idToken())).claims.scope, 'book pay', 'an ID token has no say');
    });

    test('the first rule that fits decides, by claims and by agent', async () => {
      const other = await of.scene.agent();
      const to = (scope: string) => ({ resources: [{ resource: of.scene.api.identifier, scope }] });
      const idp = await of.provider();
      const rules = [
        of.rule({ name: 'theirs', agents: [other.clientId], ...to('read') }),
        of.rule({ name: 'managers', claims: { groups: { glob: 'org/*/managers' }, hd: { exact: 'a.example' } } }),
        of.rule({ name: 'staff', claims: { employee: { exact: true }, sub: { prefix: 'emp-' } }, ...to('book') }),
      ];
      await of.trust({ issuer: idp.issuer, rules });
      const identities = ['emp-1', 'm-1'].map((subject) => ({ issuer: idp.issuer, subject }));
      await of.server.admin('POST', '/people', { name: 'Somebody', identities });
      const named = async (claims: object, by = of.agent) =>
        (await of.exchangedId(await idp.sign(idp.claims({ aud: audience, ...claims })), {}, by)).claims.issuer_rule
          ?.rule;
      const manager = { sub: 'm-1', groups: ['org/x/staff', 'org/x/managers'], hd: 'a.example' };
      assert.equal(await named(manager), 'managers');
      assert.equal(await named({ sub: 'emp-1', employee: true }), 'staff');
      assert.equal(await named(manager, other), 'theirs');
      for (const claims of [
        { ...manager, hd: 'b.example' },
        { ...manager, groups: ['org/x/y/managers'] },
        { ...manager, groups: 'org//managers/' },
        { sub: 'emp-1', employee: 'true' },
        { sub: 'x-emp-1', employee: true },
      ]) {
        const form = of.idForm(await idp.sign(idp.claims({ aud: audience, ...claims })));
        assert.match(await refused(form, 'invalid_request'), /no rule of its issuer/);
      }
    });

    test('an address makes somebody a person only where a rule says so, and the issuer has verified it', async () => {
      const email = `ada-${Date.now()}-${database}@example.com`;
      const { id: person } = await of.server.admin<{ id: string }>('POST', '/people', { name: 'Ada', email });
      const { idp, id } = await another({ person: 'verified_email' });
      const form = async (claims: object) =>
        of.idForm(await idp.sign(idp.claims({ sub: 'y', aud: audience, ...claims })));
      const { status, body } = await of.agent.send(await form({ email, email_verified: true }));
      assert.equal(status, 200, JSON.stringify(body));
      for (const claims of [
        { email },
        { email, email_verified: 'true' },
        { email: email.toUpperCase(), email_verified: true },
        { email_verified: true },
      ]) {
        assert.match(await refused(await form(claims), 'invalid_request'), /nobody/);
      }
      await of.server.admin('PATCH', `/trusted-issuers/${id}`, { rules: [of.rule({ person: 'identity' })] });
      await refused(await form({ email, email_verified: true }), 'invalid_request');
      await of.server.admin('PATCH', `/trusted-issuers/${id}`, { rules: [of.rule({ person: 'verified_email' })] });
      const again = await of.exchangedId(
        await idp.sign(idp.claims({ sub: 'y', aud: audience, email, email_verified: true })),
      );
      await of.server.admin('POST', '/people', { name: 'Ada too', email });
      await refused(await form({ email, email_verified: true }), 'invalid_request');
      await of.server.admin('PATCH', `/people/${person}`, { email: `other-${email}` });
      assert.equal(await isActive(again.token), false, 'the word of an issuer is about the address');
    });

    test('a token that is bound to a key is taken with that key alone', async () => {
      const jkt = thumbprint(of.agent.signer.publicJwk);
      const { claims } = await of.exchangedId(await of.idToken({ cnf: { jkt } }));
      assert.equal(claims.cnf?.jkt, jkt);
      const { signer } = await of.scene.agent();
      for (const cnf of [{ jkt: thumbprint(signer.publicJwk) }, { jkt, 'x5t#S256': 'x' }]) {
        assert.match(await refused(of.idForm(await of.idToken({ cnf })), 'invalid_request'), /another key/);
      }
    });

    test('may_act is obeyed', async () => {
      const sub = await spiffe(of.agent);
      await of.exchangedId(await of.idToken({ may_act: { sub, iss: of.server.issuer } }));
      for (const may_act of [{ sub }, { sub, iss: of.idp.issuer }, { sub: 'x', iss: of.server.issuer }, 'x', null]) {
        assert.match(await refused(of.idForm(await of.idToken({ may_act })), 'invalid_request'), /may_act/);
      }
    });

    test('who acted there stands behind whoever acts here, and nothing of them but who they are', async () => {
      const iss = of.idp.issuer;
      const act = {
        sub: 'app',
        iss,
        cnf: { jkt: 'x' },
        admin: true,
        act: { sub: 'deep', iss, sub_profile: 'service' },
      };
      const { claims } = await of.exchangedId(await of.idToken({ act }));
      assert.deepEqual(claims.act?.act, { sub: 'app', iss, act: { sub: 'deep', iss, sub_profile: 'service' } });
      const { items } = await of.server.admin<{ items: { decided_on: { chain: string[] } }[] }>(
        'GET',
        `/events?jti=${claims.jti}`,
      );
      assert.deepEqual(items[0]?.decided_on.chain, [await spiffe(of.agent)]);
    });

    test('a foreign name is no name of ours, whatever it says', async () => {
      const iss = of.idp.issuer;
      const sub = await spiffe(of.agent);
      const { claims } = await of.exchangedId(await of.idToken({ act: { sub, iss } }));
      assert.deepEqual(claims.act?.act, { sub, iss });
      for (const name of [of.scene.person, of.agent.clientId, sub]) {
        assert.match(await refused(of.idForm(await of.idToken({ sub: name })), 'invalid_request'), /nobody/);
      }
    });

    describe('passed on', () => {
      const service = async () => {
        const client = await of.scene.agent();
        await of.server.admin('PATCH', `/resources/${of.scene.api.id}`, { served_by: [client.clientId] });
        return client;
      };

      test('by exchange, as often and to whom the rule lets it', async () => {
        const [next, last] = [await service(), await of.scene.agent()];
        const name = await spiffe(last);
        const shallow = await of.exchangedId(await of.idToken());
        assert.match(await refused(exchangeOf(shallow.token), 'invalid_request', next), /rule staff of .* 0 times/);

        const { idToken } = await another({ passing: { depth: 1, to: [next.clientId] } });
        const first = await of.exchangedId(await idToken({ act: undefined }));
        const second = await exchanged(next, first.token, { may_act: last.clientId, scope: 'book' });
        assert.deepEqual(second.claims.act?.act, first.claims.act);
        assert.deepEqual([second.claims.issuer_rule, second.claims.sub], [first.claims.issuer_rule, first.claims.sub]);
        assert.match(await refused(exchangeOf(second.token), 'invalid_request', last), /not further/);
        const narrower = await exchanged(next, second.token, { scope: 'book' });
        assert.equal(narrower.claims.act?.sub, second.claims.act?.sub, 'a narrower one for oneself is no hop');

        const { claims } = await of.exchangedId(await idToken(), { may_act: name });
        assert.equal(claims.may_act?.sub, name);
        const named = await of.exchangedId(await idToken(), { may_act: name });
        assert.match(await refused(exchangeOf(named.token), 'invalid_request', last), /not be passed on to this agent/);
      });

      test('a foreign chain doesn’t count as hops, and counts among five', async () => {
        const next = await service();
        const { idp, idToken } = await another({ passing: { depth: 4 } });
        const chain = (length: number): object | undefined =>
          length === 0 ? undefined : { sub: `a${length}`, iss: idp.issuer, act: chain(length - 1) };
        const three = await of.exchangedId(await idToken({ act: chain(3) }));
        const { token } = await exchanged(next, three.token, {});
        assert.ok(token);
        const four = await of.exchangedId(await idToken({ act: chain(4) }));
        assert.match(await refused(exchangeOf(four.token), 'invalid_request', next), /at most 5/);
        await refused(of.idForm(await idToken({ act: chain(5) })), 'invalid_request');
      });

      test('on another resource it is the rule’s to allow', async () => {
        const next = await service();
        const other = await of.scene.anotherApi();
        await of.server.admin('PUT', `/agents/${next.clientId}/roles/${other.role}`);
        const resources = [of.scene.api, other].map(({ id }, index) => ({
          resource: id,
          default: index === 0,
          scope: ['book'],
        }));
        await of.server.admin('PATCH', `/agents/${next.clientId}`, { resources });
        const { idToken } = await another({ passing: { depth: 1 } });
        const { token } = await of.exchangedId(await idToken());
        const says = await refused(exchangeOf(token, { resource: other.identifier }), 'invalid_target', next);
        assert.match(says, /rule staff of .* is not for this resource/);
      });
    });

    describe('it ends', () => {
      const ends: [what: string, how: (id: string, person: string) => Promise<unknown>, says: RegExp][] = [
        [
          'with the issuer, suspended',
          (id) => of.server.admin('POST', `/trusted-issuers/${id}/suspend`, {}),
          /suspended/,
        ],
        [
          'with the issuer, removed',
          (id) => of.server.admin('POST', `/trusted-issuers/${id}/remove`, {}),
          /not trusted/,
        ],
        ['with the link', (_, person) => of.server.admin('PATCH', `/people/${person}`, { identities: [] }), /nobody/],
        ['with the person', (_, person) => of.server.admin('DELETE', `/people/${person}`), /nobody/],
        [
          'with the rule',
          (id) =>
            of.server.admin('PATCH', `/trusted-issuers/${id}`, { rules: [of.rule({ claims: { a: { exact: 1 } } })] }),
          /no rule/,
        ],
      ];
      for (const [what, how, says] of ends) {
        test(what, async () => {
          const { id, person, idToken } = await another({ passing: { depth: 1 } });
          const next = await of.scene.agent();
          const shown = await idToken();
          const first = await of.exchangedId(shown, { may_act: next.clientId });
          const below = await exchanged(next, first.token);
          const bystander = await of.exchangedId(await of.idToken());
          await how(id, person);
          assert.deepEqual(
            [await isActive(first.token), await isActive(below.token, next), await isActive(bystander.token)],
            [false, false, true],
          );
          assert.match(await refused(of.idForm(shown), 'invalid_request'), says);
        });
      }

      test('and goes on with the issuer, but for what was dead', async () => {
        const { id, idToken } = await another();
        const shown = await idToken();
        const { token } = await of.exchangedId(shown);
        await of.server.admin('POST', `/trusted-issuers/${id}/suspend`, {});
        await of.server.admin('POST', `/trusted-issuers/${id}/resume`);
        assert.equal(await isActive(token), false);
        assert.ok(await isActive((await of.exchangedId(shown)).token));
      });
    });
  });
}
