/** What of other issuers is not taken, each with a sentence that says why. @see RFC 8693 §2.2.2, RFC 8725, RFC 9068 §4 */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { accessTokenType, exchangeOf } from '../testing/exchange.ts';
import { databases } from '../testing/harness.ts';
import { audience, type IssuerScene, idTokenType, issuerScene } from '../testing/issuer-scene.ts';

type Form = Record<string, string>;
type Row = [what: string, form: (of: IssuerScene) => Promise<Form>, says: RegExp];

const seconds = (of: IssuerScene) => Math.floor(of.server.clock.now() / 1000);
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
/** An ID token with these claims and this header. */
const id =
  (claims: Record<string, unknown> | ((of: IssuerScene) => Record<string, unknown>) = {}, header: object = {}) =>
  async (of: IssuerScene): Promise<Form> =>
    of.idForm(await of.idToken(typeof claims === 'function' ? claims(of) : claims, header));
/** An access token. */
const access =
  (claims: Record<string, unknown> | ((of: IssuerScene) => Record<string, unknown>) = {}, header: object = {}) =>
  async (of: IssuerScene): Promise<Form> =>
    exchangeOf(await of.accessToken(typeof claims === 'function' ? claims(of) : claims, header));
/** Of the good token's parts, others. */
const forged =
  (header: (of: IssuerScene) => object, signature: (input: string, of: IssuerScene) => string) =>
  async (of: IssuerScene): Promise<Form> => {
    const input = `${part(header(of))}.${part(of.claims())}`;
    return of.idForm(`${input}.${signature(input, of)}`);
  };
const chain = (iss: string, ...subs: string[]): object | undefined =>
  subs.reduceRight<object | undefined>((act, sub) => ({ sub, iss, ...(act && { act }) }), undefined);
const ownName = async (of: IssuerScene) =>
  (await of.server.admin<{ subject: string }>('GET', `/agents/${of.agent.clientId}`)).subject;

const rows: readonly Row[] = [
  // whose it is
  ['no JWT', async (of) => of.idForm('x'), /no JWT/],
  ['a token of an issuer that nobody trusts', id({ iss: 'https://evil.example' }), /not trusted/],
  ['of the issuer with a slash', id((of) => ({ iss: `${of.idp.issuer}/` })), /not trusted/],
  ['of the issuer in capitals', id((of) => ({ iss: of.idp.issuer.toUpperCase() })), /not trusted/],
  ['of several issuers', id((of) => ({ iss: [of.idp.issuer] })), /names its issuer/],
  ['of none', id({ iss: undefined }), /names its issuer/],
  ['of a name that is no text in a database', id({ iss: 'https://a\u0000b' }), /not trusted/],
  ['an ID token that claims to be ours', id((of) => ({ iss: of.server.issuer })), /not trusted/],
  [
    'an access token that claims to be ours',
    async (of) => exchangeOf(await of.accessToken({ iss: of.server.issuer })),
    /not accepted/,
  ],
  [
    'a token of an issuer that another organization trusts',
    async (of) => {
      const idp = await of.provider();
      const { id: organization } = await of.server.admin<{ id: string }>('POST', '/organizations', { name: 'them' });
      const at = `?organization=${organization}`;
      const post = (path: string, body: object) => of.server.admin<{ id: string }>('POST', `${path}${at}`, body);
      const { id: owner } = await post('/teams', { name: 'team' });
      const { id: resource } = await post('/resources', {
        identifier: 'https://them.example',
        name: 'API',
        scopes: [{ name: 'book' }],
      });
      const agent = await post('/agents', {
        name: 'agent',
        kind: 'workload',
        owner,
        resources: [{ resource, default: true, scope: [] }],
      });
      const rules = [{ name: 'all', agents: [agent.id], resources: [{ resource, scope: 'book' }] }];
      await post('/trusted-issuers', { issuer: idp.issuer, audiences: [audience], rules });
      return of.idForm(await idp.sign(idp.claims({ sub: 'x', aud: audience })));
    },
    /not trusted/,
  ],
  // what it is
  ['an access token as an ID token', async (of) => of.idForm(await of.accessToken()), /type \(typ\)/],
  [
    'an ID token as an access token',
    async (of) => exchangeOf(await of.idToken(), { subject_token_type: accessTokenType }),
    /type \(typ\)/,
  ],
  ['an access token without its type', access({}, { typ: '' }), /type \(typ\)/],
  ['an access token of the type JWT', access({}, { typ: 'JWT' }), /type \(typ\)/],
  ['an access token with a nonce', access({ nonce: 'x' }), /nonce, which no access token has/],
  ['an access token with at_hash', access({ at_hash: 'x' }), /at_hash/],
  ['an ID token with a scope', id({ scope: 'openid' }), /scope, which no ID token has/],
  ['an ID token of a client (client_id)', id({ client_id: 'x' }), /client_id/],
  ['a logout token', id({ events: {} }, { typ: 'logout+jwt' }), /type \(typ\)/],
  ['a logout token without its type', id({ events: {} }), /events/],
  ...[
    'secevent+jwt',
    'dpop+jwt',
    'oauth-id-jag+jwt',
    'txntoken+jwt',
    'token-introspection+jwt',
    'x',
    'application/',
  ].map((typ): Row => [`of the type ${typ}`, id({}, { typ }), /type \(typ\)/]),
  [
    'of a type that is no text',
    forged(
      (of) => ({ alg: 'ES256', kid: of.idp.key.kid, typ: 1 }),
      () => 'AA',
    ),
    /type \(typ\)/,
  ],
  // who signed it
  [
    'alg none',
    forged(
      () => ({ alg: 'none', typ: 'JWT' }),
      () => '',
    ),
    /no JWT/,
  ],
  [
    'alg none, with something as a signature',
    forged(
      () => ({ alg: 'none', typ: 'JWT' }),
      () => 'AA',
    ),
    /must be signed by/,
  ],
  [
    'HS256 with the public key as the secret',
    forged(
      (of) => ({ alg: 'HS256', kid: of.idp.key.kid, typ: 'JWT' }),
      (input, of) => createHmac('sha256', JSON.stringify(of.idp.key.jwk)).update(input).digest('base64url'),
    ),
    /must be signed by/,
  ],
  [
    'another algorithm than the key’s',
    forged(
      (of) => ({ alg: 'EdDSA', kid: of.idp.key.kid, typ: 'JWT' }),
      () => Buffer.alloc(64).toString('base64url'),
    ),
    /not known of its issuer/,
  ],
  [
    'somebody else’s signature under a known kid',
    async (of) => of.idForm(await of.idp.sign(of.claims(), { kid: of.idp.key.kid }, await of.idp.keyOf('x'))),
    /signature/,
  ],
  ['a kid that there isn’t', id({}, { kid: 'two' }), /not known of its issuer/],
  ['a kid that is a path', id({}, { kid: '../../etc/passwd' }), /not known of its issuer/],
  ['a kid that is SQL', id({}, { kid: "' or 1=1 --" }), /not known of its issuer/],
  ['a kid that is __proto__', id({}, { kid: '__proto__' }), /not known of its issuer/],
  ['a kid without end', id({}, { kid: 'x'.repeat(300) }), /kid/],
  [
    'a kid that is no text',
    forged(
      () => ({ alg: 'ES256', kid: { one: 1 }, typ: 'JWT' }),
      () => Buffer.alloc(64).toString('base64url'),
    ),
    /kid/,
  ],
  ...['jku', 'x5u'].map(
    (name): Row => [
      `${name} of an own key set`,
      async (of) => {
        const evil = await of.provider();
        const header = { [name]: `${evil.issuer}/jwks`, kid: evil.key.kid };
        const form = of.idForm(await of.idp.sign(of.claims(), header, evil.key));
        const { status } = await of.agent.send(form);
        assert.deepEqual([status, evil.asked.keys], [400, 0], 'nobody was asked');
        return form;
      },
      /signature/,
    ],
  ),
  [
    'its own key in the header (jwk)',
    async (of) => {
      const own = await of.idp.keyOf(of.idp.key.kid);
      return of.idForm(await of.idp.sign(of.claims(), { jwk: own.jwk } as object, own));
    },
    /signature/,
  ],
  [
    'signed by another trusted issuer',
    async (of) => {
      const other = await of.provider();
      await of.trust({ issuer: other.issuer });
      return of.idForm(await other.sign(of.claims()));
    },
    /signature/,
  ],
  ['a critical extension', id({}, { crit: ['b64'], b64: true }), /no JWT/],
  // for whom
  ['for another audience', id({ aud: 'x' }), /audience/],
  ['for nobody', id({ aud: undefined }), /audience/],
  ['for an empty list', id({ aud: [] }), /audience/],
  ['for us and for others', id({ aud: [audience, 'x'], azp: audience }), /audience/],
  ['an access token for others', access({ aud: ['x', 'y'] }), /audience/],
  ['asked for by another party (azp)', id({ azp: 'x' }), /azp/],
  ['for us twice, asked for by nobody', id({ aud: [audience, audience] }), /azp/],
  // when
  ['expired', id((of) => ({ iat: seconds(of) - 60, exp: seconds(of) })), /expired/],
  ['without an end', id({ exp: undefined }), /when it ends/],
  ['without a beginning', id({ iat: undefined }), /when it was issued/],
  ['issued in the future', id((of) => ({ iat: seconds(of) + 90 })), /future/],
  ['not valid yet', id((of) => ({ nbf: seconds(of) + 90 })), /not valid yet/],
  [
    'older than it is trusted for',
    id((of) => ({ iat: seconds(of) - 3600, exp: seconds(of) + 60 })),
    /older than 3600 s/,
  ],
  ['an end in words', id({ exp: 'tomorrow' as never }), /exp/],
  [
    'an end that is no number',
    forged(
      (of) => ({ alg: 'ES256', kid: of.idp.key.kid, typ: 'JWT' }),
      () => 'AA',
    ),
    /signature/,
  ],
  // about whom
  ['about nobody', id({ sub: undefined }), /sub/],
  ['about somebody without a name', id({ sub: '' }), /sub/],
  ['about a number', id({ sub: 1 as never }), /sub/],
  ['about a name without end', id({ sub: 'x'.repeat(256) }), /sub/],
  ['about half a letter', id({ sub: 'x\ud800' }), /sub/],
  ['about a stranger', id({ sub: 'stranger' }), /nobody who is known here/],
  [
    'about a stranger with the address of a person',
    id({ sub: 'x', email: 'x@example.com', email_verified: true }),
    /nobody/,
  ],
  [
    'about a person who was unlinked',
    async (of) => {
      const { id: person, sub } = await of.person();
      await of.exchangedId(await of.idToken({ sub }));
      await of.server.admin('PATCH', `/people/${person}`, { identities: [] });
      return of.idForm(await of.idToken({ sub }));
    },
    /nobody who is known here/,
  ],
  [
    'about a person who was erased',
    async (of) => {
      const { id: person, sub } = await of.person();
      await of.server.admin('DELETE', `/people/${person}`);
      return of.idForm(await of.idToken({ sub }));
    },
    /nobody who is known here/,
  ],
  [
    'about a person under another issuer’s name for them',
    async (of) => {
      const sub = 'elsewhere';
      await of.person({ identities: [{ issuer: 'https://other.example', subject: sub }] });
      return of.idForm(await of.idToken({ sub }));
    },
    /nobody who is known here/,
  ],
  // who acted
  [
    'a chain with an agent of ours',
    async (of) => id({ act: chain(of.server.issuer, await ownName(of)) })(of),
    /can not speak/,
  ],
  ['a chain with somebody else’s', id({ act: chain('https://evil.example', 'x') }), /can not speak/],
  ['a chain with nobody’s', id({ act: { sub: 'x' } }), /can not speak/],
  [
    'a chain whose inner actor is ours',
    async (of) => id({ act: { sub: 'x', iss: of.idp.issuer, act: chain(of.server.issuer, await ownName(of)) } })(of),
    /can not speak/,
  ],
  ['a chain in which somebody stands twice', id((of) => ({ act: chain(of.idp.issuer, 'a', 'b', 'a') })), /twice/],
  ['a chain of six', id((of) => ({ act: chain(of.idp.issuer, 'a', 'b', 'c', 'd', 'e', 'f') })), /at most 5/],
  [
    'a chain of five, in which there is no room for us',
    id((of) => ({ act: chain(of.idp.issuer, 'a', 'b', 'c', 'd', 'e') })),
    /at most 5/,
  ],
  ['a chain that is none', id({ act: 'x' }), /chain/],
  ['a chain of nobody', id((of) => ({ act: { iss: of.idp.issuer } })), /chain/],
  // bound to what
  ['bound to another key', id({ cnf: { jkt: 'x'.repeat(43) } }), /another key/],
  ['bound in a way that nobody knows', id({ cnf: { kid: 'x' } }), /cnf/],
  ['bound by our key, and in a way that nobody knows', id({ cnf: { jkt: 'x', osc: {} } }), /cnf/],
  ['bound to nothing', id({ cnf: {} }), /cnf/],
];

for (const database of databases) {
  describe(`what of other issuers is not taken, on ${database}`, () => {
    let of: IssuerScene;
    before(async () => {
      of = await issuerScene(database);
    });
    after(() => of.close());

    test('but the good ones are', async () => {
      await of.exchangedId(await of.idToken());
      await of.exchangedId(await of.idToken({ aud: [audience], azp: audience, nonce: 'n', at_hash: 'h' }, { typ: '' }));
      const { status } = await of.agent.send(await access({ aud: ['x', audience] }, { typ: 'application/AT+JWT' })(of));
      assert.equal(status, 200);
    });

    for (const [what, form, says] of rows) {
      test(what, async () => {
        const { status, body } = await of.agent.send(await form(of));
        assert.deepEqual([status, body.error], [400, 'invalid_request'], JSON.stringify(body));
        assert.match(String(body.error_description), says);
        assert.equal(body.access_token, undefined);
      });
    }

    test('a kind that its issuer is not trusted for, and an algorithm', async () => {
      const idp = await of.provider();
      await of.trust({ issuer: idp.issuer, accepts: ['access_token'], algorithms: ['RS256'] });
      const token = await idp.sign(idp.claims({ sub: 'x', aud: audience }));
      const says = async (type: string, shown: string) =>
        String((await of.agent.send(exchangeOf(shown, { subject_token_type: type }))).body.error_description);
      assert.match(await says(idTokenType, token), /is an ID token/);
      const access = await idp.sign(idp.claims({ sub: 'x', aud: audience }), { typ: 'at+jwt' });
      assert.match(await says(accessTokenType, access), /must be signed by one of RS256/);
    });

    test('whom no rule names hears no more than that', async () => {
      const stranger = await of.scene.agent();
      const { status, body } = await stranger.send(of.idForm(await of.idToken()));
      assert.deepEqual([status, body.error], [400, 'invalid_request']);
      assert.match(String(body.error_description), /no rule of its issuer/);
    });

    test('as an actor_token', async () => {
      const token = await of.idToken();
      const { body } = await of.agent.send(of.idForm(token, { actor_token: token, actor_token_type: accessTokenType }));
      assert.match(String(body.error_description), /actor_token is none of ours/);
    });

    test('a resource beyond, and our own', async () => {
      const token = await of.idToken();
      const other = await of.scene.anotherApi();
      for (const resource of [other.identifier, of.server.issuer, 'x']) {
        const { body } = await of.agent.send(of.idForm(token, { resource }));
        assert.equal(body.error, 'invalid_target', resource);
      }
    });
  });
}
