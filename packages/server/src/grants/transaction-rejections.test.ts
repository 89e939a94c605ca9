/** What a request for a transaction token is refused for, and that such a token is taken for no other. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { asOf } from '../liveness/liveness.ts';
import { shownBy } from '../pdp/token.ts';
import {
  accessTokenType,
  type ExchangeScene,
  exchanged,
  exchangeOf,
  exchangeScene,
  exchangeType,
  mandateType,
} from '../testing/exchange.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import type { TokenClient } from '../testing/token-client.ts';
import {
  begun,
  replacing,
  type TransactionScene,
  transactionOf,
  transactionScene,
  transactionType,
} from '../testing/transactions.ts';

interface Rejected extends TransactionScene {
  server: TestServer;
  scene: ExchangeScene;
  /** A transaction token for `stock` and `ledger`, with scope `book`, tctx and rctx. */
  begun: string;
}

type Form = Record<string, string>;
type Row = [what: string, form: (of: Rejected) => Form | Promise<Form>, error: string, says?: RegExp];

const urn = (name: string) => `urn:ietf:params:oauth:token-type:${name}`;
const without = (name: string) => (of: Rejected) => {
  const { [name]: _, ...rest } = transactionOf(of.token);
  return rest;
};
/** Changed after it was signed. */
const spoiled = (token: string, claims: object, header: object = {}) => {
  const [, , signature] = token.split('.');
  const { header: was, payload } = parseCompact(token);
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ ...was, ...header })}.${part({ ...payload, ...claims })}.${signature}`;
};

/** Of the service at the edge. */
const first: readonly Row[] = [
  // RFC 8693 §2.1, and the draft's parameters
  ['no subject_token', without('subject_token'), 'invalid_request'],
  ['no subject_token_type', without('subject_token_type'), 'invalid_request', /subject_token_type must be/],
  ['no scope', without('scope'), 'invalid_request', /scope is missing/],
  ['no audience', without('audience'), 'invalid_target', /trust domain/],
  ['another trust domain', (of) => transactionOf(of.token, { audience: 'elsewhere.example' }), 'invalid_target'],
  ['the API as audience', (of) => transactionOf(of.token, { audience: of.stock.identifier }), 'invalid_target'],
  ...['refresh_token', 'id_token', 'saml2', 'self_signed', 'unsigned_json', 'x'].map(
    (type): Row => [
      `a subject of the type ${type}`,
      (of) => transactionOf(of.token, { subject_token_type: urn(type) }),
      'invalid_request',
      /must be/,
    ],
  ),
  [
    'a mandate',
    (of) => transactionOf(of.mandate, { subject_token_type: mandateType }),
    'invalid_request',
    /subject_token_type must be/,
  ],
  ...(
    [
      ['actor_token', 'x'],
      ['authorization_details', '[]'],
      ['ctx', '{"ip":["127.0.0.1"]}'],
      ['may_act', 'agt_01hzzzzzzzzzzzzzzzzzzzzzzz'],
      ['task', 'tsk_01hzzzzzzzzzzzzzzzzzzzzzzz'],
    ] as const
  ).map(
    ([name, value]): Row => [
      `${name}, which would bound nothing`,
      (of) => transactionOf(of.token, { [name]: value }),
      'invalid_request',
      new RegExp(`${name} says nothing`),
    ],
  ),
  // the subject token
  ['what is no token', () => transactionOf('a.b.c'), 'invalid_request', /not accepted/],
  ['an altered token', (of) => transactionOf(spoiled(of.token, { scope: 'book pay read' })), 'invalid_request'],
  ['one with no signature', (of) => transactionOf(spoiled(of.token, {}, { alg: 'none' })), 'invalid_request'],
  [
    'one for an API that the client doesn’t serve',
    async (of) => {
      const other = await of.scene.agent();
      return transactionOf((await exchanged(other, await of.scene.give(other))).token);
    },
    'invalid_request',
    /not accepted/,
  ],
  [
    'one for our own API',
    async (of) => {
      const { body } = await of.caller.send({ resource: of.server.issuer, scope: 'tasks:report' });
      return transactionOf(String(body.access_token));
    },
    'invalid_request',
    /not accepted/,
  ],
  [
    'one that was ended',
    async (of) => {
      const { token } = await exchanged(of.caller, of.mandate);
      await ended(of, of.caller, token);
      return transactionOf(token);
    },
    'invalid_request',
    /has been ended/,
  ],
  ['a transaction token called an access token', (of) => transactionOf(of.begun), 'invalid_request', /not accepted/],
  [
    'an access token called a transaction token',
    (of) => transactionOf(of.token, replacing),
    'invalid_request',
    /not accepted/,
  ],
  [
    'a transaction token that only others serve',
    (of) => transactionOf(of.begun, replacing),
    'invalid_request',
    /not accepted/,
  ],
  // what is wanted of it
  [
    'a wider scope',
    (of) => transactionOf(of.token, { scope: 'book read' }),
    'invalid_scope',
    /subject_token does not allow read/,
  ],
  ['a scope that is none', (of) => transactionOf(of.token, { scope: 'a"b' }), 'invalid_scope'],
  [
    'any scope, of a token that has none',
    async (of) => {
      const granted = [{ type: 'payment', amount: 1, currency: 'EUR' }];
      const mandate = await of.scene.give(of.caller, {
        resources: [{ resource: of.front.identifier, scope: 'book', authorization_details: granted }],
      });
      const { token } = await exchanged(of.caller, mandate, { authorization_details: JSON.stringify(granted) });
      return transactionOf(token);
    },
    'invalid_scope',
  ],
  [
    'a service that transactions may not come to',
    (of) => transactionOf(of.token, { resource: of.front.identifier }),
    'invalid_target',
  ],
  ['a service that isn’t there', (of) => transactionOf(of.token, { resource: 'https://x.example' }), 'invalid_target'],
  ...(['request_context', 'request_details'] as const).flatMap((name): Row[] => [
    ...['{', '[]', '"a"', 'null', '7', `{"a":"${'x'.repeat(4096)}"}`].map(
      (text): Row => [
        `${name} ${text.slice(0, 8)}`,
        (of) => transactionOf(of.token, { [name]: text }),
        'invalid_request',
        new RegExp(name),
      ],
    ),
  ]),
  [
    'details that are another’s to say',
    (of) => transactionOf(of.token, { request_details: '{"authorization_details":[]}' }),
    'invalid_request',
    /authorization_details/,
  ],
];

/** Of a service inside. */
const replaced: readonly Row[] = [
  [
    'a scope that it hasn’t',
    (of) => transactionOf(of.begun, { ...replacing, scope: 'book pay' }),
    'invalid_scope',
    /does not allow pay/,
  ],
  [
    'a service that it isn’t for',
    (of) => transactionOf(of.begun, { ...replacing, resource: of.front.identifier }),
    'invalid_target',
  ],
  [
    'other details',
    (of) => transactionOf(of.begun, { ...replacing, request_details: '{"order":8}' }),
    'invalid_request',
    /would change order/,
  ],
  [
    'another context',
    (of) => transactionOf(of.begun, { ...replacing, request_context: '{"req_ip":"192.0.2.8"}' }),
    'invalid_request',
    /would change req_ip/,
  ],
  [
    'granted details, which the access token had none of',
    (of) => transactionOf(of.begun, { ...replacing, request_details: '{"authorization_details":[]}' }),
    'invalid_request',
  ],
  [
    'an altered transaction token',
    (of) => transactionOf(spoiled(of.begun, { scope: 'book pay' }), replacing),
    'invalid_request',
    /not accepted/,
  ],
  [
    'an access token in exchange',
    (of) => exchangeOf(of.begun, { ...replacing, resource: of.stock.identifier }),
    'invalid_request',
    /subject_token_type must be/,
  ],
  [
    'an access token, by calling it one',
    (of) => exchangeOf(of.begun, { resource: of.stock.identifier }),
    'invalid_request',
    /not accepted/,
  ],
  ['the access token that it came of', (of) => transactionOf(of.token), 'invalid_request', /not accepted/],
];

async function ended({ server }: Pick<Rejected, 'server'>, client: TokenClient, token: string) {
  const assertion = await instanceClient(server, client).assertion();
  const body = new URLSearchParams({ ...assertion, token });
  await fetch(`${server.issuer}/oauth2/revoke`, { method: 'POST', body });
}

for (const database of databases) {
  describe(`what a request for a transaction token is refused for, on ${database}`, () => {
    let of: Rejected;
    before(async () => {
      const server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      const scene = await exchangeScene(server);
      const world = await transactionScene(server, scene);
      const { token } = await begun(world.gateway, world.token, {
        request_details: '{"order":7}',
        request_context: '{"req_ip":"192.0.2.7"}',
      });
      of = { server, scene, ...world, begun: token };
    });
    after(() => of.server.close());

    for (const [who, rows] of [
      ['gateway', first],
      ['clerk', replaced],
    ] as const) {
      for (const [what, form, error, says] of rows) {
        test(`${who === 'clerk' ? 'replacing: ' : ''}${what}`, async () => {
          const { status, body } = await of[who].send(await form(of));
          assert.deepEqual([status, body.error], [400, error], JSON.stringify(body));
          if (says) assert.match(String(body.error_description), says);
          assert.equal(body.access_token, undefined);
        });
      }
    }

    test('the agent whose token it is, and one that may act by it, open no transaction', async () => {
      const named = await of.scene.agent([of.front]);
      const asked = { resource: of.front.identifier, scope: 'book', may_act: named.clientId };
      const own = String((await of.caller.send(asked)).body.access_token);
      for (const client of [of.caller, named]) {
        const { body } = await client.send(transactionOf(own));
        assert.deepEqual(
          [body.error, body.error_description],
          ['invalid_request', 'subject_token is not accepted from this client'],
        );
      }
      assert.equal((await of.gateway.send(transactionOf(own))).status, 200);
    });

    test('an API that names no services has no transactions', async () => {
      const { front, gateway, scene } = of;
      const plain = await scene.anotherApi({ served_by: [gateway.clientId] });
      const agent = await scene.agent([plain]);
      const own = String((await agent.send({ scope: 'book' })).body.access_token);
      assert.equal((await gateway.send(transactionOf(own))).body.error, 'invalid_target');
      for (const id of [plain.id, 'res_01hzzzzzzzzzzzzzzzzzzzzzzz', 'x']) {
        const patch = of.server.admin('PATCH', `/resources/${plain.id}`, { token: { transactions: [front.id, id] } });
        await assert.rejects(patch, /4(00|22) .*token\.transactions\[1\]/);
      }
    });

    test('what nobody else may show is told of to nobody else: living or ended, they hear the same', async () => {
      const { gateway, caller, mandate } = of;
      const { token } = await exchanged(caller, mandate);
      const stranger = await of.scene.agent([], { grants: [exchangeType], resources: [] });
      const alive = await stranger.send(transactionOf(token));
      await ended(of, caller, token);
      assert.deepEqual((await stranger.send(transactionOf(token))).body, alive.body);
      assert.match(String((await gateway.send(transactionOf(token))).body.error_description), /has been ended/);
    });

    test('it is no access token and no actor_token of anybody’s', async () => {
      const { server, gateway, caller, begun: token } = of;
      for (const client of [gateway, caller]) {
        const { body } = await client.send(
          exchangeOf(of.mandate, { actor_token: token, actor_token_type: accessTokenType }),
        );
        assert.equal(body.error, 'invalid_request', JSON.stringify(body));
      }
      const headers = { authorization: `Bearer ${token}` };
      for (const path of ['/admin/v1/agents', '/mandates']) {
        assert.equal((await fetch(server.issuer + path, { headers })).status, 401, path);
      }
    });

    test('the decision point is shown an access token by it as little', async () => {
      const { server, caller, begun: token } = of;
      const asked = { agent: caller.clientId, org: caller.organization, resource: undefined, address: '127.0.0.1' };
      const shown = (shownToken: string) =>
        asOf(server.deps.db).then((since) =>
          shownBy(server.deps, since, { ...asked, token: shownToken, now: server.clock.now() }),
        );
      assert.equal(await shown(token), 'the token is a transaction token, and no access token');
      const { token: own } = await exchanged(caller, of.mandate);
      assert.equal(typeof (await shown(own)), 'object');
    });

    test('an access token whose resource calls itself as the trust domain does is no transaction token', async () => {
      const { gateway, scene } = of;
      const like = await scene.anotherApi({ served_by: [gateway.clientId], token: { audience: 'localhost' } });
      const agent = await scene.agent([like]);
      const own = String((await agent.send({ scope: 'book' })).body.access_token);
      const { status, body } = await gateway.send(transactionOf(own, replacing));
      assert.deepEqual([status, body.error], [400, 'invalid_request'], JSON.stringify(body));
    });

    test('an agent that isn’t registered for exchange', async () => {
      const { front, scene, server, gateway, clerk } = of;
      const plain = await scene.agent([], { grants: ['client_credentials'], resources: [] });
      await server.admin('PATCH', `/resources/${front.id}`, {
        served_by: [gateway.clientId, clerk.clientId, plain.clientId],
      });
      assert.equal((await plain.send(transactionOf(of.token))).body.error, 'unauthorized_client');
    });

    test('one that has expired, or was replaced past its end', async () => {
      const { server, gateway, clerk, caller, mandate } = of;
      const { token } = await exchanged(caller, mandate);
      const inside = await begun(gateway, token);
      server.clock.advance(301_000);
      const late = await clerk.send(transactionOf(inside.token, replacing));
      assert.match(String(late.body.error_description), /has expired/);
      assert.equal((await gateway.send(transactionOf(token))).status, 200);
      server.clock.advance(601_000);
      assert.match(String((await gateway.send(transactionOf(token))).body.error_description), /has expired/);
    });

    test('metadata says that they are given, and for which trust domain', async () => {
      const response = await fetch(`${of.server.issuer}/.well-known/oauth-authorization-server`);
      const { actor_profile_token_exchange: exchange, bailiwick_trust_domain: domain } = (await response.json()) as {
        actor_profile_token_exchange: { requested_token_types_supported: string[] };
        bailiwick_trust_domain: string;
      };
      assert.deepEqual(
        [exchange.requested_token_types_supported, domain],
        [[accessTokenType, transactionType], 'localhost'],
      );
    });
  });
}
