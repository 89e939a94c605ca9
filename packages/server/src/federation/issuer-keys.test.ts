/** Keys of trusted issuers: fetched when they are needed, by one of all who want them, and believed for a stated time. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { databases } from '../testing/harness.ts';
import { audience, type IssuerScene, issuerScene } from '../testing/issuer-scene.ts';

const minute = 60_000;

for (const database of databases) {
  describe(`keys of trusted issuers, on ${database}`, () => {
    let of: IssuerScene;
    let idp: IssuerScene['idp'];
    let issuer: string;
    before(async () => {
      of = await issuerScene(database);
    });
    after(() => of.close());
    beforeEach(async () => {
      idp = await of.provider();
      issuer = (await of.trust({ issuer: idp.issuer })).id;
      await of.server.admin('POST', '/people', {
        name: 'Somebody',
        identities: [{ issuer: idp.issuer, subject: 'x' }],
      });
      idp.asked.keys = 0;
    });

    const shown = async (key = idp.key, header: object = {}) =>
      of.idForm(await idp.sign(idp.claims({ sub: 'x', aud: audience }), header, key));
    const status = async (key = idp.key, header: object = {}) => (await of.agent.send(await shown(key, header))).status;
    const broken = () => {
      idp.keysWanted = (response) => response.writeHead(503).end();
    };

    test('they are there from the registration on, and kept as long as the issuer says, within bounds', async () => {
      assert.deepEqual([await status(), idp.asked.keys], [200, 0]);
      for (const [says, isKeptFor] of [
        ['max-age=0', 5],
        ['no-store', 5],
        ['public, max-age=1200', 20],
        ['max-age=99999999', 24 * 60],
        ['', 60],
      ] as const) {
        idp.headers = says === '' ? {} : { 'cache-control': says };
        await of.server.admin('POST', `/trusted-issuers/${issuer}/refresh`);
        idp.asked.keys = 0;
        of.server.clock.advance((isKeptFor - 1) * minute);
        assert.deepEqual([await status(), idp.asked.keys], [200, 0], says);
        of.server.clock.advance(2 * minute);
        assert.deepEqual([await status(), idp.asked.keys], [200, 1], says);
      }
    });

    test('a new key is known with the first token that it signed, and one that was taken away is gone in time', async () => {
      const two = await idp.keyOf('two');
      idp.jwks = [idp.key.jwk, two.jwk];
      of.server.clock.advance(minute);
      assert.deepEqual([await status(two), idp.asked.keys], [200, 1]);
      idp.jwks = [two.jwk];
      assert.equal(await status(), 200, 'it is kept for as long as was said');
      await of.server.admin('POST', `/trusted-issuers/${issuer}/refresh`);
      assert.deepEqual([await status(), await status(two)], [400, 200]);
    });

    test('for a key that is unknown nobody is asked twice in half a minute', async () => {
      const two = await idp.keyOf('two');
      of.server.clock.advance(minute);
      for (const kid of ['a', 'b', 'c']) assert.equal(await status(two, { kid }), 400);
      assert.equal(idp.asked.keys, 1);
      of.server.clock.advance(minute);
      assert.equal(await status(two), 400);
      assert.equal(idp.asked.keys, 2);
    });

    test('who wants them at once waits for one who asks', async () => {
      const two = await idp.keyOf('two');
      idp.jwks = [two.jwk];
      of.server.clock.advance(minute);
      const all = await Promise.all(Array.from({ length: 8 }, () => status(two)));
      assert.deepEqual([new Set(all), idp.asked.keys], [new Set([200]), 1]);
    });

    test('the last good ones are believed for a day when they can’t be fetched, and no longer', async () => {
      broken();
      of.server.clock.advance(2 * 60 * minute);
      assert.equal(await status(), 200);
      assert.match(String((await of.server.admin(`GET`, `/trusted-issuers/${issuer}`)).fault), /answered with 503/);
      assert.equal(await status(await idp.keyOf('two')), 400);
      of.server.clock.advance(23 * 60 * minute);
      assert.equal(await status(), 400);
    });

    test('without a kid there has to be one key that it can be', async () => {
      assert.equal(await status(idp.key, { kid: undefined }), 200);
      const [two, rsa] = [await idp.keyOf('two'), await idp.keyOf('three', 'RS256')];
      idp.jwks = [idp.key.jwk, rsa.jwk];
      await of.server.admin('POST', `/trusted-issuers/${issuer}/refresh`);
      assert.deepEqual([await status(idp.key, { kid: undefined }), await status(rsa, { kid: undefined })], [200, 200]);
      idp.jwks = [idp.key.jwk, two.jwk];
      await of.server.admin('POST', `/trusted-issuers/${issuer}/refresh`);
      assert.deepEqual([await status(idp.key, { kid: undefined }), await status(two)], [400, 200]);
    });

    test('of a set with keys that are none of ours, or secret, the others are taken', async () => {
      idp.jwks = [null, 'x', { kty: 'oct', k: 'AAAA', kid: idp.key.kid }, { kty: 'EC', crv: 'P-521' }, idp.key.jwk];
      await of.server.admin('POST', `/trusted-issuers/${issuer}/refresh`);
      assert.equal(await status(), 200);
    });
  });
}
