/** The guide docs/guides/trusted-issuers.md shows what is taken. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { z } from 'zod';
import { writablePerson } from './person.ts';
import { writableIssuer } from './trusted-issuer.ts';

const page = readFileSync(new URL('../../../../docs/guides/trusted-issuers.md', import.meta.url), 'utf8');

test('its rules and its identities are what the API takes', () => {
  const [, rules = ''] = /```json\n([\s\S]*?)```/.exec(page) ?? [];
  writableIssuer.rules.parse(JSON.parse(rules.replaceAll('_…', '_01hzzzzzzzzzzzzzzzzzzzzzzz')));
  const [, body = ''] = /PATCH \/admin\/v1\/people\/per_…\n(.*)\n/.exec(page) ?? [];
  const { identities } = z.object(writablePerson).partial().parse(JSON.parse(body));
  assert.equal(identities?.length, 1);
});
