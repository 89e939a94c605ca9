/** What a chain lets through: no more than any of its links, and all that they allow together. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { type AuthorizationDetail, areWithin } from '@bailiwick/protocol';
import fc from 'fast-check';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Resource } from '../resources/resource.ts';
import type { HeldRole } from '../resources/role.ts';
import { allThatIsLeft, withinDelegation } from './delegated.ts';
import type { DelegationBound, TokenPlan } from './plan.ts';
import { givenByRoles } from './roles.ts';

const scopes = ['book', 'pay', 'read'];
const api = {
  id: 'res_api',
  scopes: scopes.map((name) => ({ name, description: '' })),
  operations: [],
  detailsTypes: [
    {
      type: 'payment',
      description: '',
      schema: {
        type: 'object',
        properties: { amount: { type: 'number' }, to: { type: 'string' } },
        required: ['amount'],
      },
      compare: { amount: 'at_most' },
    },
  ],
} as unknown as Resource;

const anyScope = fc.subarray(scopes);
const anyDetail: fc.Arbitrary<AuthorizationDetail> = fc.record(
  { type: fc.constant('payment'), amount: fc.integer({ min: 1, max: 4 }), to: fc.constantFrom('a', 'b') },
  { requiredKeys: ['type'] },
);
const anyDetails = fc.array(anyDetail, { maxLength: 3 });
const anyBound = fc.record({ scope: anyScope, details: anyDetails });
const bounds = (all: readonly { scope: string[]; details: AuthorizationDetail[] }[]): DelegationBound[] =>
  all.map((each, index) => ({ ...each, by: `mandate ${index}`, context: undefined, endsAt: 1 }));
const roleOf = ({ scope, details }: { scope: string[]; details: AuthorizationDetail[] }): HeldRole => ({
  grant: 'grt_1',
  role: 'rol_1',
  roleName: 'role',
  permissions: [{ resource: 'res_api', scopes: scope, details }],
});

const client = { agent: {}, instance: undefined } as unknown as TokenPlan['client'];
const left = async (links: DelegationBound[], held: HeldRole[], rootRoles?: HeldRole[]) => {
  try {
    return await allThatIsLeft({ client, resource: api, task: undefined }, { bounds: links, rootRoles }, held);
  } catch (error) {
    assert.ok(error instanceof OAuthError && error.code === 'invalid_scope', String(error));
    return { scope: [], details: [], narrowed: [] };
  }
};
const planOf = (scope: readonly string[], details: readonly AuthorizationDetail[], links: DelegationBound[]) =>
  ({ client, resource: api, scope, details, task: undefined, delegation: { bounds: links } }) as unknown as TokenPlan;

suite('what a chain lets through', () => {
  test('nothing that one of its links, or the roles, don’t allow; every scope that all of them do', async () => {
    const chains = fc.tuple(fc.array(anyBound, { minLength: 1, maxLength: 4 }), anyBound, fc.option(anyBound));
    await fc.assert(
      fc.asyncProperty(chains, async ([all, role, root]) => {
        const [links, held] = [bounds(all), [roleOf(role)]];
        const { scope, details } = await left(links, held, root ? [roleOf(root)] : undefined);
        withinDelegation(planOf(scope, details, links)); // throws for what is beyond
        givenByRoles({ resource: api, scope, details }, held);
        const everybody = [...all, role, ...(root ? [root] : [])];
        const common = scopes.filter((name) => everybody.every((each) => each.scope.includes(name)));
        assert.deepEqual([...scope].sort(), common);
        for (const each of everybody) assert.ok(areWithin(api.detailsTypes, details, each.details));
      }),
      { numRuns: 300 },
    );
  });

  test('what is within two bounds of which neither is within the other', async () => {
    const links = bounds([
      { scope: [], details: [{ type: 'payment', amount: 4 }] },
      { scope: [], details: [{ type: 'payment', amount: 3, to: 'a' }] },
    ]);
    const { details } = await left(links, [roleOf({ scope: [], details: [{ type: 'payment' }] })]);
    assert.deepEqual(details, [{ type: 'payment', amount: 3, to: 'a' }]);
  });

  test('who left it out is told: the first that says no', async () => {
    const links = bounds([
      { scope: ['book', 'pay', 'read'], details: [] },
      { scope: ['book', 'read'], details: [] },
    ]);
    const { narrowed } = await left(links, [roleOf({ scope: ['book'], details: [] })]);
    assert.deepEqual(narrowed, [
      { what: 'scope', value: 'pay', by: 'mandate 1' },
      { what: 'scope', value: 'read', by: 'roles' },
    ]);
  });
});
