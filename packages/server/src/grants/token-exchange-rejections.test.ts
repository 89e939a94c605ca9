/** What an exchange refuses, each with the error that RFC 8693 §2.2.2 has for it. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { generateJwk, parseCompact, signCompact } from '@bailiwick/protocol';
import {
  accessTokenType,
  type ExchangeScene,
  exchanged,
  exchangeOf,
  exchangeScene,
  exchangeType,
  mandateType,
  type SharedApi,
} from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient, newSigner } from '../testing/instance-client.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

interface Rejected {
  server: TestServer;
  scene: ExchangeScene;
  /** Whose everything is. */
  agent: TokenClient;
  /** Serves nothing, is named by nothing. */
  stranger: TokenClient;
  other: SharedApi;
  mandate: string;
  /** Of the mandate, for the shared API. */
  token: string;
}

type Form = Record<string, string>;
type Row = [what: string, form: (of: Rejected) => Form | Promise<Form>, error: string, says?: RegExp];

const { subject_token_type: _, ...untyped } = exchangeOf('x');
const urn = (name: string) => `urn:ietf:params:oauth:token-type:${name}`;
/** The token as it was, signed by somebody else or changed after it was signed. */
const spoiled = (token: string, claims: object, header: object = {}) => {
  const [, , signature] = token.split('.');
  const { header: was, payload } = parseCompact(token);
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ ...was, ...header })}.${part({ ...payload, ...claims })}.${signature}`;
};
const tokenOf = async (client: TokenClient, form: Form = {}) => String((await client.send(form)).body.access_token);

const rows: readonly Row[] = [
  // §2.1: the request
  ['no subject_token', () => ({ grant_type: exchangeType }), 'invalid_request', /subject_token is missing/],
  ['a subject_token without its type', () => untyped, 'invalid_request', /subject_token_type must be/],
  [
    'a type without its subject_token',
    () => ({ grant_type: exchangeType, subject_token_type: mandateType }),
    'invalid_request',
  ],
  ...['refresh_token', 'saml2', 'saml1', 'txn_token', 'id-jag'].map(
    (type): Row => [
      `a subject_token of the type ${type}`,
      (of) => exchangeOf(of.token, { subject_token_type: urn(type) }),
      'invalid_request',
      /must be/,
    ],
  ),
  [
    'a token of ours as an ID token',
    (of) => exchangeOf(of.token, { subject_token_type: urn('id_token') }),
    'invalid_request',
    /not trusted/,
  ],
  ['a type that nobody knows', (of) => exchangeOf(of.mandate, { subject_token_type: '__proto__' }), 'invalid_request'],
  ...['refresh_token', 'id_token', 'jwt', 'x'].map(
    (type): Row => [
      `requested_token_type ${type}`,
      (of) => exchangeOf(of.mandate, { requested_token_type: urn(type) }),
      'invalid_request',
      /requested_token_type must be/,
    ],
  ),
  [
    'an actor_token without its type',
    (of) => exchangeOf(of.mandate, { actor_token: of.token }),
    'invalid_request',
    /actor_token_type/,
  ],
  [
    'an actor_token_type without its token',
    (of) => exchangeOf(of.mandate, { actor_token_type: accessTokenType }),
    'invalid_request',
    /no actor_token/,
  ],
  [
    'an actor_token of another type',
    (of) => exchangeOf(of.mandate, { actor_token: of.token, actor_token_type: urn('id_token') }),
    'invalid_request',
  ],
  [
    'an actor_token that is none',
    (of) => exchangeOf(of.mandate, { actor_token: 'a.b.c', actor_token_type: accessTokenType }),
    'invalid_request',
    /none of ours/,
  ],
  [
    'an actor_token that was exchanged',
    (of) => exchangeOf(of.mandate, { actor_token: of.token, actor_token_type: accessTokenType }),
    'invalid_request',
    /for itself/,
  ],
  [
    'an actor_token of another client',
    async (of) =>
      exchangeOf(of.mandate, { actor_token: await tokenOf(of.stranger), actor_token_type: accessTokenType }),
    'invalid_request',
    /of the client/,
  ],
  [
    'an actor_token by another key',
    async (of) => {
      const signer = await newSigner();
      const at = instanceClient(of.server, of.agent);
      const instance = await at.instance({ signer });
      const { body } = await at.tokenOf(instance, { resource: of.scene.api.identifier });
      return exchangeOf(of.mandate, { actor_token: body.access_token, actor_token_type: accessTokenType });
    },
    'invalid_request',
    /not bound to the key/,
  ],
  // §2.1: resource and audience
  [
    'two resources',
    (of) => exchangeOf(of.mandate, { resource: of.scene.api.identifier, audience: of.other.identifier }),
    'invalid_target',
  ],
  [
    'a resource that its agent was not given',
    (of) => exchangeOf(of.mandate, { resource: of.stranger.identifier }),
    'invalid_target',
  ],
  [
    'a resource that the mandate is not for',
    (of) => exchangeOf(of.mandate, { resource: of.other.identifier }),
    'invalid_target',
    /mandate mdt_\w+ is not for/,
  ],
  ['a resource that is none', (of) => exchangeOf(of.mandate, { audience: 'x\u0000' }), 'invalid_target'],
  // a mandate
  [
    'a mandate that never was',
    () => exchangeOf('mdt_01hzzzzzzzzzzzzzzzzzzzzzzz'),
    'invalid_request',
    /no mandate of this agent/,
  ],
  [
    'a mandate of another agent',
    async (of) => exchangeOf(await of.scene.give(of.stranger)),
    'invalid_request',
    /no mandate of this agent/,
  ],
  [
    'an id that is no mandate’s',
    (of) => exchangeOf(of.agent.clientId, { subject_token_type: mandateType }),
    'invalid_request',
  ],
  ['a token as a mandate', (of) => exchangeOf(of.token, { subject_token_type: mandateType }), 'invalid_request'],
  ['a mandate as a token', (of) => exchangeOf(of.mandate, { subject_token_type: accessTokenType }), 'invalid_request'],
  [
    'a mandate for an instance, by its agent',
    async (of) => {
      const { id } = await instanceClient(of.server, of.agent).instance();
      return exchangeOf(await of.scene.give(of.agent, { instance: id }));
    },
    'invalid_request',
    /no mandate of this agent/,
  ],
  // an access token
  [
    'a token that is none',
    () => exchangeOf('x', { subject_token_type: accessTokenType }),
    'invalid_request',
    /not accepted/,
  ],
  [
    'a token with another scope than was signed',
    (of) => exchangeOf(spoiled(of.token, { scope: 'read' })),
    'invalid_request',
    /not accepted/,
  ],
  [
    'a token with a chain that nobody signed',
    (of) => exchangeOf(spoiled(of.token, { act: { sub: 'spiffe://x/y' } })),
    'invalid_request',
    /not accepted/,
  ],
  [
    'a token of alg none',
    (of) => exchangeOf(spoiled(of.token, {}, { alg: 'none' })),
    'invalid_request',
    /not accepted/,
  ],
  [
    'a token that somebody else signed',
    async (of) => {
      const key = createPrivateKey({ key: { ...(await generateJwk('ES256')) }, format: 'jwk' });
      const { header, payload } = parseCompact(of.token);
      return exchangeOf(signCompact(header as never, payload, { alg: 'ES256', key }));
    },
    'invalid_request',
    /not accepted/,
  ],
  [
    'the client’s own assertion',
    async (of) => exchangeOf((await of.agent.form()).client_assertion ?? ''),
    'invalid_request',
    /not accepted/,
  ],
  [
    'a JWT-SVID of an instance',
    async (of) => {
      const body = { jwt_svid_audiences: [of.server.issuer] };
      const { answer } = await instanceClient(of.server, of.agent).instance({ body });
      const [svid] = answer.jwt_svids as { token: string }[];
      return exchangeOf(svid?.token ?? '');
    },
    'invalid_request',
    /not accepted/,
  ],
  ['a token of another agent', async (of) => exchangeOf(await tokenOf(of.stranger)), 'invalid_request', /not accepted/],
  [
    'a token of the client by another key',
    async (of) => {
      const at = instanceClient(of.server, of.agent);
      const { body } = await at.tokenOf(await at.instance(), { resource: of.scene.api.identifier });
      return exchangeOf(body.access_token);
    },
    'invalid_request',
    /another key/,
  ],
  [
    'a token for our own API',
    (of) => exchangeOf(of.token, { resource: of.server.issuer, scope: 'tasks:report' }),
    'invalid_target',
  ],
  // what is wanted of it
  [
    'a wider scope',
    (of) => exchangeOf(of.token, { scope: 'book read' }),
    'invalid_scope',
    /subject_token does not allow read/,
  ],
  ['a scope that no role gives', (of) => exchangeOf(of.mandate, { scope: 'fly' }), 'invalid_scope'],
  ['a scope that is none', (of) => exchangeOf(of.mandate, { scope: 'a"b' }), 'invalid_scope'],
  [
    'details that neither gives',
    (of) => exchangeOf(of.token, { authorization_details: '[{"type":"payment","amount":1,"currency":"EUR"}]' }),
    'invalid_authorization_details',
  ],
  [
    'details of no type',
    (of) => exchangeOf(of.mandate, { authorization_details: '[{"type":"flight"}]' }),
    'invalid_authorization_details',
  ],
  ['a place that nobody is in', (of) => exchangeOf(of.mandate, { ctx: '{"ip":["192.0.2.0/24"]}' }), 'access_denied'],
  ['a place that is none', (of) => exchangeOf(of.mandate, { ctx: '{"moon":true}' }), 'invalid_request'],
  [
    'may_act of somebody elsewhere',
    (of) => exchangeOf(of.mandate, { may_act: 'spiffe://elsewhere.example/default/x' }),
    'invalid_request',
    /may_act/,
  ],
  ['may_act by a name', (of) => exchangeOf(of.mandate, { may_act: 'operator' }), 'invalid_request', /may_act/],
];

for (const database of databases) {
  describe(`what an exchange refuses, on ${database}`, () => {
    let of: Rejected;
    before(async () => {
      const server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      const scene = await exchangeScene(server);
      const other = await scene.anotherApi();
      const [agent, stranger] = [await scene.agent([scene.api, other]), await scene.agent()];
      const mandate = await scene.give(agent);
      of = { server, scene, agent, stranger, other, mandate, token: (await exchanged(agent, mandate)).token };
    });
    after(() => of.server.close());

    for (const [what, form, error, says] of rows) {
      test(what, async () => {
        const { status, body } = await of.agent.send(await form(of));
        assert.deepEqual([status, body.error], [400, error], JSON.stringify(body));
        if (says) assert.match(String(body.error_description), says);
        assert.equal(body.access_token, undefined);
      });
    }

    test('an agent that isn’t registered for it', async () => {
      const { body } = await (await tokenClient(of.server)).send(exchangeOf(of.mandate));
      assert.equal(body.error, 'unauthorized_client');
    });

    test('without a proof of possession, where tokens are bound', async () => {
      const form = await of.agent.form(exchangeOf(of.mandate));
      const reply = await fetch(`${of.server.issuer}/oauth2/token`, {
        method: 'POST',
        body: new URLSearchParams(form),
      });
      assert.equal(((await reply.json()) as { error: string }).error, 'invalid_request');
    });

    test('whose token it isn’t hears the same of a living one and of one that has ended', async () => {
      const { stranger, agent, server, scene } = of;
      const { token } = await exchanged(agent, await scene.give(agent));
      const alive = await stranger.send(exchangeOf(token));
      const assertion = await instanceClient(server, agent).assertion();
      await fetch(`${server.issuer}/oauth2/revoke`, {
        method: 'POST',
        body: new URLSearchParams({ ...assertion, token }),
      });
      const ended = await stranger.send(exchangeOf(token));
      assert.deepEqual(ended.body, alive.body);
      assert.match(String((await agent.send(exchangeOf(token))).body.error_description), /has been ended/);
    });

    test('a token that has expired, and a mandate', async () => {
      const { agent, scene, server } = of;
      const { token } = await exchanged(agent, of.mandate);
      const short = await scene.give(agent, { expires_in: 60 });
      server.clock.advance(901_000);
      assert.match(String((await agent.send(exchangeOf(token))).body.error_description), /has expired/);
      const { body } = await agent.send(exchangeOf(short));
      assert.deepEqual([body.error, /ended/.test(String(body.error_description))], ['invalid_request', true]);
    });
  });
}
