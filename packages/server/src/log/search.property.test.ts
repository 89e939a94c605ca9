/** A search finds what a naive scan finds: whatever is asked, of whatever events, in both orders and pages of any size. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { AuditEvent, EventType } from '../audit/event.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { append, forget, idsOf } from '../testing/searched.ts';
import type { EventFilter } from './filter.ts';

const orgs = ['one', 'two'].map((name) => `org_${name.padStart(26, '0')}`);
const agents = [1, 2, 3].map((n) => `agt_${String(n).padStart(26, '0')}`);
const tasks = [1, 2].map((n) => `tsk_${String(n).padStart(26, '0')}`);
const persons = [1, 2].map((n) => `per_${String(n).padStart(26, '0')}`);
const instances = [1, 2].map((n) => `ins_${String(n).padStart(26, '0')}`);
const credentials = [1, 2].map((n) => `crd_${String(n).padStart(26, '0')}`);
const owners = [1, 2].map((n) => `tea_${String(n).padStart(26, '0')}`);
const addresses = ['192.0.2.1', '192.0.2.2'];
const types: EventType[] = ['token.refused', 'access.used', 'agent.suspended', 'task.opened'];
const traces = ['a', 'b'].map((digit) => digit.repeat(32));

const event = fc.record({
  type: fc.constantFrom(...types),
  outcome: fc.constantFrom('allowed' as const, 'refused' as const),
  org: fc.constantFrom(...orgs),
  agent: fc.constantFrom(...agents),
  target: fc.option(fc.constantFrom(...agents, ...tasks), { nil: undefined }),
  resource: fc.constantFrom('https://one.example', 'https://two.example'),
  jti: fc.constantFrom('first', 'second'),
  txn: fc.option(fc.constantFrom('first', 'third'), { nil: undefined }),
  reason: fc.constantFrom('role reader; policy starter/other-statement', 'no role gives it', 'Ärger im Büro'),
  by: fc.constantFrom([], ['starter/some-statement'], ['night/nobody', 'starter/some-statement']),
  trace: fc.option(fc.constantFrom(...traces), { nil: undefined }),
  owner: fc.constantFrom(...owners),
  address: fc.constantFrom(...addresses),
  task: fc.option(fc.constantFrom(...tasks), { nil: undefined }),
  person: fc.option(fc.constantFrom(...persons), { nil: undefined }),
  instance: fc.option(fc.constantFrom(...instances), { nil: undefined }),
  credential: fc.constantFrom(...credentials),
  operation: fc.constantFrom('read', 'write'),
  workflow: fc.constantFrom('refunds', 'exports'),
  later: fc.integer({ min: 0, max: 90_000 }),
});
type Made = typeof event extends fc.Arbitrary<infer Value> ? Value : never;

/** Mostly not: who asks for everything at once finds nothing. */
const maybe = <Value>(value: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
const question = fc.record({
  types: maybe(fc.subarray(types, { minLength: 1 })),
  outcome: maybe(fc.constantFrom('allowed', 'refused')),
  agent: maybe(fc.constantFrom(...agents)),
  target: maybe(fc.constantFrom(...agents)),
  about: maybe(fc.constantFrom(...agents, ...tasks)),
  task: maybe(fc.constantFrom(...tasks)),
  person: maybe(fc.constantFrom(...persons)),
  instance: maybe(fc.constantFrom(...instances)),
  credential: maybe(fc.constantFrom(...credentials)),
  operation: maybe(fc.constantFrom('read', 'burn')),
  workflow: maybe(fc.constantFrom('refunds', 'exports')),
  resource: maybe(fc.constantFrom('https://one.example', 'https://none.example')),
  jti: maybe(fc.constantFrom('first', 'third')),
  origin: maybe(fc.constantFrom('first', 'third')),
  policy: maybe(fc.constantFrom('starter', 'starter/some-statement', 'night', 'starter/other-statement')),
  trace: maybe(fc.constantFrom(...traces)),
  owner: maybe(fc.constantFrom(...owners)),
  ownedBy: maybe(fc.constantFrom(...owners)),
  address: maybe(fc.constantFrom(...addresses)),
  text: maybe(fc.constantFrom('ROLE', 'büro ärger', 'suspended', 'reader starter', 'nothing')),
  since: maybe(fc.integer({ min: 0, max: 4_000_000 })),
  until: maybe(fc.integer({ min: 0, max: 4_000_000 })),
});

const made = ({
  owner,
  person,
  address,
  task,
  workflow,
  instance,
  credential,
  operation,
  txn,
  by,
  later: _,
  ...same
}: Made): AuditEvent => ({
  ...same,
  trace: same.trace && `00-${same.trace}-${'c'.repeat(16)}-01`,
  instance,
  decided_on: { by, client: { credential }, operation, task, txn, workflow },
  personal: { owner, address, person },
});

/** What the filter means, without any index. */
function fitsPlainly(filter: EventFilter, one: Made & { at: number }): boolean {
  const is = (wanted: string | undefined, ...values: (string | undefined)[]) =>
    wanted === undefined || values.includes(wanted);
  const said = `${one.type} ${one.reason} ${one.workflow} ${one.operation}`.toLowerCase().split(/[^\p{L}\p{N}]+/u);
  return (
    one.org === filter.org &&
    (filter.types === undefined || filter.types.includes(one.type)) &&
    is(filter.outcome, one.outcome) &&
    is(filter.agent, one.agent) &&
    is(filter.target, one.target) &&
    is(filter.about, one.agent, one.target, one.task, one.instance, one.credential) &&
    is(filter.task, one.task, one.target) &&
    is(filter.person, one.person) &&
    is(filter.instance, one.instance) &&
    is(filter.credential, one.credential) &&
    is(filter.operation, one.operation) &&
    is(filter.workflow, one.workflow) &&
    is(filter.resource, one.resource) &&
    is(filter.jti, one.jti) &&
    is(filter.origin, one.jti, one.txn) &&
    is(filter.policy, ...one.by, ...one.by.map((each) => each.split('/')[0])) &&
    is(filter.trace, one.trace) &&
    is(filter.owner, one.owner) &&
    is(filter.ownedBy, one.owner) &&
    is(filter.address, one.address) &&
    (filter.text ?? '')
      .toLowerCase()
      .split(' ')
      .every((word) => word === '' || said.includes(word)) &&
    (filter.since === undefined || one.at >= filter.since) &&
    (filter.until === undefined || one.at < filter.until)
  );
}

for (const database of databases) {
  describe(`what a search finds (${database})`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database });
    });
    after(async () => {
      await forget(server);
      await server.close();
    });

    test('finds what a naive scan finds, in both orders and pages of any size', { timeout: 300_000 }, async () => {
      const { deps, clock } = server;
      const all: (Made & { at: number; id: string })[] = [];
      for (const one of fc.sample(event, { numRuns: 150, seed: 8455 })) {
        clock.advance(one.later);
        all.push({ ...one, at: clock.now(), id: await append(deps, made(one)) });
      }
      const start = all[0]?.at as number;
      let matched = 0;
      const property = fc.asyncProperty(
        question,
        fc.constantFrom(...orgs),
        fc.constantFrom(1, 7, 200),
        async (asked, org, limit) => {
          const filter: EventFilter = {
            ...asked,
            org,
            since: asked.since === undefined ? undefined : start + asked.since,
            until: asked.until === undefined ? undefined : start + asked.until,
          };
          const expected = all.filter((one) => fitsPlainly(filter, one)).map(({ id }) => id);
          if (expected.length > 0) matched += 1;
          assert.deepEqual(await idsOf(deps, filter, 'oldest', limit), expected);
          assert.deepEqual(await idsOf(deps, filter, 'newest', limit), expected.toReversed());
        },
      );
      await fc.assert(property, { numRuns: 60, seed: 5 });
      assert.ok(matched > 30, `only ${matched} questions had an answer`);
    });
  });
}
