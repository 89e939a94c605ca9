import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BailiwickError, transactionOf } from './index.ts';
import { createWorld, issuer, type World } from './testing.ts';

const stock = 'https://stock.example';
const access = 'eyJh.eyJh.c2ln';
const inside = 'eyJ0.eyJ0.c2ln';
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const answered = {
  access_token: inside,
  token_type: 'N_A',
  issued_token_type: 'urn:ietf:params:oauth:token-type:txn_token',
  expires_in: 60,
  scope: 'order',
};

/** An issuer that knows transaction tokens, and a service inside. */
function worldInside(answer: () => Response = () => Response.json(answered)): World {
  const world = createWorld();
  world.host(issuer, async (request) => {
    if (new URL(request.url).pathname !== '/oauth2/token') {
      return Response.json({
        issuer,
        token_endpoint: `${issuer}/oauth2/token`,
        bailiwick_trust_domain: 'prod.example',
      });
    }
    return answer();
  });
  world.host(stock, () => new Response('ok'));
  return world;
}
const formOf = (world: World) => Object.fromEntries(new URLSearchParams(world.tokenRequests().at(-1)?.body));
const incoming = (headers: Record<string, string | string[] | undefined>) => ({ headers });
const bringing = incoming({ authorization: `DPoP ${access}`, traceparent });

test('the token that a request came with is exchanged, and the one for inside travels on in its own header', async () => {
  const world = worldInside();
  const transaction = await world.agent.transaction(bringing, {
    scope: ['order'],
    details: { item: 'tea' },
    context: { req_ip: '192.0.2.7' },
  });
  const { client_assertion: _, client_assertion_type: __, client_id: ___, ...form } = formOf(world);
  assert.deepEqual(form, {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    requested_token_type: 'urn:ietf:params:oauth:token-type:txn_token',
    audience: 'prod.example',
    subject_token: access,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    scope: 'order',
    request_details: '{"item":"tea"}',
    request_context: '{"req_ip":"192.0.2.7"}',
  });
  assert.deepEqual([transaction.scope, transaction.expiresAt], [['order'], world.time.now + 60_000]);
  await transaction.fetch(`${stock}/orders`, { method: 'POST', body: '{}', headers: { accept: 'text/plain' } });
  const { headers, method, body } = world.seen.at(-1) ?? assert.fail();
  assert.deepEqual(
    [method, body, headers.get('txn-token'), headers.get('accept')],
    ['POST', '{}', inside, 'text/plain'],
  );
  assert.deepEqual(
    [headers.get('authorization'), headers.get('dpop'), headers.get('traceparent')],
    [null, null, traceparent],
  );
});

test('a transaction token is replaced, and services can be named', async () => {
  const world = worldInside();
  const headers = new Headers({ 'txn-token': inside, authorization: 'Basic eDp5' });
  await world.agent.transaction({ headers }, { scope: 'order', resources: [stock, `${stock}/2`] });
  assert.equal(formOf(world).subject_token_type, 'urn:ietf:params:oauth:token-type:txn_token');
  assert.deepEqual(new URLSearchParams(world.tokenRequests().at(-1)?.body).getAll('resource'), [stock, `${stock}/2`]);
});

test('each is asked for anew', async () => {
  const world = worldInside();
  for (let i = 0; i < 2; i++) await world.agent.transaction(bringing, { scope: 'order' });
  assert.equal(world.tokenRequests().length, 2);
});

test('what a request came with inside is passed on as it is, and nobody is asked', async () => {
  const { options, seen, host } = createWorld();
  host(stock, () => new Response('ok'));
  const passed = transactionOf(incoming({ 'txn-token': inside, traceparent }), {
    fetch: options.fetch as typeof fetch,
  });
  assert.equal((await passed.fetch(`${stock}/orders`)).status, 200);
  assert.equal(seen.length, 1);
  assert.deepEqual([seen[0]?.headers.get('txn-token'), seen[0]?.headers.get('traceparent')], [inside, traceparent]);
});

test('a redirect is the caller’s to look at: the token goes nowhere by itself', async () => {
  const world = worldInside();
  world.host(stock, () => new Response(null, { status: 302, headers: { location: 'https://elsewhere.example/' } }));
  const transaction = await world.agent.transaction(bringing, { scope: 'order' });
  assert.equal((await transaction.fetch(stock)).status, 302);
  assert.ok(!world.seen.some(({ url }) => url.includes('elsewhere')));
});

test('nobody gets to see it', async () => {
  const world = worldInside();
  const transaction = await world.agent.transaction(bringing, { scope: 'order' });
  for (const value of [transaction, JSON.stringify(transaction), String(transaction)]) {
    assert.ok(!JSON.stringify(value).includes(inside));
  }
});

const refused = (code: string) => (error: unknown) =>
  error instanceof BailiwickError && error.code === code && !`${error.message} ${error.hint}`.includes(access);

for (const [what, headers] of [
  ['no token', {}],
  ['another scheme', { authorization: 'Basic eDp5' }],
  ['two transaction tokens in one header', { 'txn-token': `${inside}, ${inside}` }],
  ['what would break out of a header', { authorization: `DPoP ${access}\r\nx: y` }],
] as const) {
  test(`a request with ${what} begins nothing`, async () => {
    const world = worldInside();
    await assert.rejects(world.agent.transaction(incoming(headers), { scope: 'order' }), refused('no_transaction'));
    assert.equal(world.tokenRequests().length, 0);
  });
}

test('there is nothing to pass on of a request without one, or with two', () => {
  for (const headers of [
    {},
    { authorization: `DPoP ${access}` },
    { 'txn-token': [inside, inside] },
    { 'txn-token': 'x y' },
  ]) {
    assert.throws(() => transactionOf(incoming(headers)), refused('no_transaction'));
  }
});

test('a transaction is for something', async () => {
  await assert.rejects(worldInside().agent.transaction(bringing, { scope: [] }), refused('bad_option'));
});

test('it goes to no other machine in plain http, and no access token beside it', async () => {
  const transaction = await worldInside().agent.transaction(bringing, { scope: 'order' });
  await assert.rejects(transaction.fetch('http://stock.example/'), refused('insecure_url'));
  const headers = { authorization: `DPoP ${access}` };
  await assert.rejects(transaction.fetch(stock, { headers }), refused('bad_option'));
});

test('a refusal says what the issuer said, and what to do', async () => {
  const says = { error: 'invalid_target', error_description: 'this transaction can come to no resource' };
  const world = worldInside(() => Response.json(says, { status: 400 }));
  await assert.rejects(world.agent.transaction(bringing, { scope: 'order' }), (error: BailiwickError) => {
    assert.deepEqual([error.code, error.status], ['invalid_target', 400]);
    assert.match(error.message, /^asking for a transaction token: .*this transaction can come to no resource$/);
    assert.match(error.hint ?? '', /token\.transactions/);
    return true;
  });
});

for (const [what, changes] of [
  ['an access token', { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' }],
  ['no token', { access_token: undefined }],
  ['what is none', { access_token: 'a b' }],
  ['no end', { expires_in: undefined }],
] as const) {
  test(`an answer with ${what} is no answer`, async () => {
    const world = worldInside(() => Response.json({ ...answered, ...changes }));
    await assert.rejects(world.agent.transaction(bringing, { scope: 'order' }), refused('bad_answer'));
  });
}

test('an issuer that gives none is not asked', async () => {
  const world = createWorld();
  await assert.rejects(world.agent.transaction(bringing, { scope: 'order' }), refused('no_transactions'));
  assert.equal(world.tokenRequests().length, 0);
});
