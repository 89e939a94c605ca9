/** Test support: requests of every shape, which policies out of the grammar can be about. */
import fc from 'fast-check';
import type { PolicyRequest } from '../policy/request.ts';
import { addresses, anyWord, identifiers, roles } from './generated-words.ts';

const said = fc.option(anyWord, { nil: undefined });
const tags = fc.array(fc.tuple(anyWord, anyWord), { maxLength: 3 }).map((pairs) => Object.fromEntries(pairs));
const sensitivity = fc.constantFrom('low' as const, 'medium' as const, 'high' as const);

const agent = fc.record({
  type: fc.constant('Agent' as const),
  id: anyWord,
  name: anyWord,
  kind: fc.constantFrom('ai_agent' as const, 'workload' as const),
  environment: anyWord,
  owner: anyWord,
  roles: fc.uniqueArray(fc.constantFrom(...roles), { maxLength: 3 }),
  instance: said,
  attested: tags,
});
const subject = fc.record({
  type: fc.constant('Subject' as const),
  kind: fc.constant('user'),
  id: anyWord,
  properties: tags,
});
const api = fc.record({
  type: fc.constant('Api' as const),
  identifier: fc.constantFrom(...identifiers),
  name: anyWord,
  sensitivity,
});
const operation = fc.record({
  type: fc.constantFrom('Operation' as const, 'Tool' as const),
  identifier: fc.constantFrom(...identifiers),
  name: anyWord,
  sensitivity,
});
const object = fc.record({
  type: fc.constant('Object' as const),
  kind: fc.constant('record'),
  id: anyWord,
  properties: fc.oneof(tags, fc.constant({ sensitivity: 'low' })),
});

const context = fc.record({
  at: fc.oneof(
    fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2027, 0) }),
    fc.constantFrom(Date.UTC(2026, 10, 23, 1), Date.UTC(2026, 2, 29, 1, 0), Date.UTC(2026, 9, 25, 1, 30)),
  ),
  timeZone: fc.constantFrom('UTC', 'Europe/Vienna', 'America/New_York', 'Asia/Kolkata'),
  address: fc.option(fc.constantFrom(...addresses, 'nowhere'), { nil: undefined }),
  addressProvenance: fc.constantFrom(undefined, 'observed' as const, 'told' as const),
  country: said,
  zone: fc.option(fc.record({ name: anyWord, provenance: fc.constantFrom('attested' as const, 'observed' as const) }), {
    nil: undefined,
  }),
  task: fc.option(
    fc.record({
      provenance: fc.constantFrom('orchestrated' as const, 'declared' as const),
      id: said,
      workflow: said,
      step: said,
      environment: said,
      purpose: said,
    }),
    { nil: undefined },
  ),
  binding: fc.constantFrom('dpop' as const, 'mtls' as const, 'none' as const),
  method: anyWord,
  proofAge: fc.constantFrom(0, 1.2, 60, 2000),
  scope: fc.uniqueArray(anyWord, { maxLength: 3 }),
  details: fc.uniqueArray(anyWord, { maxLength: 2 }),
  chainDepth: fc.nat(5),
  subject: said,
  operation: said,
  claimed: fc.option(tags, { nil: undefined }),
});

/** Requests of every shape that the schema has. */
export const request: fc.Arbitrary<PolicyRequest> = fc.oneof(
  fc.record({
    principal: agent,
    action: fc.constantFrom('token:issue' as const, 'token:exchange' as const),
    resource: api,
    context,
  }),
  fc.record({
    principal: fc.oneof(agent, subject),
    action: fc.constant('resource:access' as const),
    resource: fc.oneof(api, operation, object),
    context,
  }),
  fc.record({
    principal: agent,
    action: fc.constantFrom('approval:request' as const, 'lease:create' as const),
    resource: fc.oneof(api, operation),
    context,
  }),
);

/** Requests that share much, as an agent's requests do. */
export const requests = fc
  .tuple(
    fc.array(request, { minLength: 3, maxLength: 3 }),
    fc.array(fc.tuple(fc.nat(2), fc.nat(2)), { minLength: 12, maxLength: 12 }),
  )
  .map(([some, mixes]) => [
    ...some,
    ...mixes.map(([a, b]) => ({ ...(some[a] as PolicyRequest), context: (some[b] as PolicyRequest).context })),
  ]);
