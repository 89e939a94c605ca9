/**
 * Everything that the token endpoint refuses, one sentence each: see `rejections/`. Each row sends a request that is
 * right but for one thing, expects exactly one answer, and then shows that the refusal stood in nobody's way.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Change, freshIds, type Ids, makeRequest } from './craft.ts';
import { assertionRows } from './rejections/assertions.ts';
import { detailsRows } from './rejections/details.ts';
import { proofRows } from './rejections/proofs.ts';
import { requestRows } from './rejections/requests.ts';
import type { Row, Scene } from './rejections/row.ts';
import { type Reply, send } from './send.ts';
import { databases, openWorld, type World } from './world.ts';

const rows: Row[] = [...requestRows, ...detailsRows, ...assertionRows, ...proofRows];

for (const database of databases) {
  // PostgreSQL has its say where bytes reach it or where something is spent; the rest never gets that far
  const reaches = /NUL|surrogate|SQL|KB|given|scope|resource|suspended|retired|key|two|nonce/;
  const table = database === 'sqlite' ? rows : rows.filter(([sentence]) => reaches.test(sentence));

  describe(`the token endpoint on ${database} refuses`, () => {
    let world: World;
    before(async () => {
      world = await openWorld(database);
    });
    after(() => world.close());

    for (const [sentence, sent, status, error] of table) {
      test(sentence, async () => {
        const scene = await world.scene();
        const ids = freshIds();
        const change = typeof sent === 'function' ? sent(scene) : sent;
        const reply = await send(scene.tokenEndpoint, makeRequest(scene, change, ids));
        assertRefusal(reply, status, error);
        assertHelpful(reply, change);
        await assertNothingSpent(scene, error, ids);
      });
    }
  });
}

test('the table has every sentence once, and more than a hundred', () => {
  const sentences = rows.map(([sentence]) => sentence);
  assert.deepEqual(
    sentences.filter((sentence, index) => sentences.indexOf(sentence) !== index),
    [],
  );
  assert.ok(rows.length > 100, `${rows.length} rows`);
});

/** RFC 6749 §5.2: the code, the status, and nothing that caches, leaks or breaks a header. */
function assertRefusal(reply: Reply, status: number, error: string): void {
  const said = `${reply.status} ${reply.body.slice(0, 300)}`;
  assert.equal(reply.status, status, said);
  assert.equal(reply.json?.error, error, said);
  assert.match(reply.headers['content-type'] ?? '', /^application\/json\b/);
  assert.match(reply.headers['cache-control'] ?? '', /\bno-store\b/);
  for (const name of ['set-cookie', 'x-injected', 'location']) assert.equal(reply.headers[name], undefined);
  for (const [name, value] of Object.entries(reply.json ?? {})) {
    assert.ok(['error', 'error_description', 'error_uri'].includes(name), `unexpected member ${name}`);
    assert.match(String(value), /^[\x20-\x21\x23-\x5B\x5D-\x7E]{1,300}$/, `${name} has letters that RFC 6749 forbids`);
  }
  assert.doesNotMatch(reply.body, /eyJ/, 'a refusal must not repeat a JWT');
}

/** What the client needs in order to do better: a nonce, the method, the scheme. */
function assertHelpful(reply: Reply, change: Change): void {
  if (reply.json?.error === 'use_dpop_nonce')
    assert.match(reply.headers['dpop-nonce'] ?? '', /^[\x21\x23-\x5B\x5D-\x7E]+$/);
  if (reply.status === 405) assert.equal(reply.headers.allow, 'POST');
  const scheme = change.headers?.find(([name]) => name === 'Authorization')?.[1].split(' ')[0];
  if (reply.status === 401 && scheme !== undefined) {
    assert.match(reply.headers['www-authenticate'] ?? '', new RegExp(`\\b${scheme}\\b`));
  }
}

/**
 * Whoever failed to prove themselves spends nothing, so the same `jti`s still work for whom they belong to. After
 * authentication the proofs stay spent (a refusal is not to be asked for twice), and only a new request works.
 */
async function assertNothingSpent(scene: Scene, error: string, ids: Ids): Promise<void> {
  const fresh = freshIds();
  const kept: Record<string, Ids> = {
    invalid_client: ids,
    use_dpop_nonce: ids,
    invalid_dpop_proof: { assertion: fresh.assertion, proof: ids.proof },
  };
  const reply = await send(scene.tokenEndpoint, makeRequest(scene, {}, kept[error] ?? fresh));
  assert.equal(reply.status, 200, `a correct request after it: ${reply.body}`);
  assert.equal(typeof reply.json?.access_token, 'string');
}
