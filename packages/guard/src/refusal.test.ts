/** What each refusal says, and where: status, challenge, problem. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChallenges } from '@bailiwick/protocol';
import { answerTo, type Needed, Refusal, type RefusalCode } from './refusal.ts';

const context = {
  metadataUrl: 'https://api.example/.well-known/oauth-protected-resource',
  algorithms: ['ES256'],
  bearer: false,
};
const details = [{ type: 'transfer', account: '7' }];
const requirements = [{ type: 'fresh_proof' as const, max_age: 60 }];

for (const [code, status, needed, params, body] of [
  ['access_denied', 403, { requirements }, undefined, { error: 'access_denied', requirements }],
  [
    'insufficient_user_authentication',
    401,
    { requirements, maxAgeSeconds: 60, acrValues: ['phr', 'phrh'] },
    { error: 'insufficient_user_authentication', max_age: '60', acr_values: 'phr phrh' },
    { error: 'insufficient_user_authentication', requirements },
  ],
  [
    'insufficient_user_authentication',
    401,
    { maxAgeSeconds: 0 },
    { error: 'insufficient_user_authentication', max_age: '0' },
    {},
  ],
  [
    'insufficient_scope',
    403,
    { scope: ['a', 'b'], details },
    { error: 'insufficient_scope', scope: 'a b' },
    { scope: 'a b', authorization_details: details },
  ],
  [
    'insufficient_scope',
    403,
    { scope: [], details },
    { error: 'insufficient_scope' },
    { authorization_details: details },
  ],
] as [RefusalCode, number, Needed, Record<string, string> | undefined, object][]) {
  test(`${code} (${Object.keys(needed).join(', ')}): ${status}`, () => {
    const answer = answerTo(new Refusal(code, 'Not so.', { reason: 'for the operator', ...needed }), context);
    assert.equal(answer.status, status);
    const told = answer.headers['www-authenticate'];
    if (params === undefined) assert.equal(told, undefined, 'no token would help');
    else {
      const [challenge] = parseChallenges(String(told));
      const { algs, resource_metadata, ...said } = challenge!.params;
      assert.deepEqual([algs, resource_metadata], ['ES256', context.metadataUrl]);
      assert.deepEqual({ ...said }, params);
    }
    const problem = JSON.parse(answer.body);
    assert.deepEqual({ ...problem, ...body }, problem);
    assert.deepEqual([problem.status, problem.detail], [status, 'Not so.']);
    assert.ok(!answer.body.includes('operator'));
  });
}
