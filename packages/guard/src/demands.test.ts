/** On whose authority a caller may come: a person's, through how many agents, through which. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateJwk, linkTag, thumbprint } from '@bailiwick/protocol';
import { createGuard, type DecisionRecord, type Demands, type GuardOptions } from './index.ts';
import { fakeAgent, fakeIssuer, issuer, resourceId } from './testing/fake-issuer.ts';

const named = (name: string) => `spiffe://id.example/default/${name}`;

/** An actor and, inside, those who acted before it. */
const actors = ([name, ...earlier]: string[], more: object = {}): object => ({
  sub: named(name as string),
  iss: issuer,
  sub_profile: 'ai_agent',
  ...more,
  ...(earlier.length > 0 && { act: actors(earlier) }),
});

/** What a token says that was passed on through agents, the one calling first. It links the ids of all before. */
const forPerson = (names: string[], ids: string[] = []) => ({
  sub: 'per_1',
  sub_profile: 'user',
  mandate: 'mdt_1',
  act: actors(names),
  links: ['per_1', 'crd_1', resourceId, ...ids].map(linkTag),
});

const forItself = {};
const direct = forPerson(['reader']);
const passedOn = forPerson(['reader', 'lead'], ['agt_lead']);
const passedTwice = forPerson(['reader/ins_1', 'lead', 'boss'], ['agt_lead', 'agt_boss']);
/** It got its token in exchange for one that another agent had for itself. */
const forAgent = { sub: named('lead'), act: actors(['reader']), links: ['agt_lead', resourceId].map(linkTag) };

type Claims = Record<string, unknown>;

async function setUp(options: Partial<GuardOptions> = {}) {
  const fake = await fakeIssuer();
  const records: DecisionRecord[] = [];
  const guard = createGuard(fake.options({ onDecision: (record) => records.push(record), ...options }));
  const agent = await fakeAgent(fake);
  const send = async (claims: Claims, method = 'GET', path = '/tickets') =>
    guard.decide(await agent.request(method, path, { claims }));
  return { fake, guard, agent, records, send };
}

test('the route learns for whom the agent acts, and by which mandate', async () => {
  const { send } = await setUp();
  const decision = await send(passedOn);
  assert.ok(decision.allowed);
  const { person, mandate, agent, spiffeId, chain } = decision.caller;
  assert.deepEqual([person, mandate, agent, spiffeId], ['per_1', 'mdt_1', 'agt_reader', named('reader')]);
  assert.deepEqual(
    chain.map(({ subject }) => subject),
    [named('reader'), named('lead')],
  );
});

test('an agent that acts for itself, or for an agent, has no person', async () => {
  const { send } = await setUp();
  for (const claims of [forItself, forAgent]) {
    const decision = await send(claims);
    assert.ok(decision.allowed);
    assert.ok(!('person' in decision.caller) && !('mandate' in decision.caller));
  }
});

const someone = /authority of a person/;
const excluded = /may not take part/;

for (const [what, demands, claims, sentence] of [
  ['a person, of an agent that acts for itself', { person: true }, forItself, someone],
  ['a person, of an agent that acts for an agent', { person: true }, forAgent, someone],
  ['one actor, of two', { maxDepth: 1 }, passedOn, /at most 1 may act.* has 2/],
  ['two actors, of three', { maxDepth: 2 }, passedTwice, /at most 2 may act.* has 3/],
  ['nobody who acts for another', { maxDepth: 0 }, direct, /at most 0/],
  ['that the one calling is another, by its id', { without: ['agt_reader'] }, direct, excluded],
  ['that the one calling is another, by its name', { without: [named('reader')] }, direct, excluded],
  ['that the one calling is no instance of this agent', { without: [named('reader')] }, passedTwice, excluded],
  ['that the one calling is not this instance', { without: [named('reader/ins_1')] }, passedTwice, excluded],
  ['that one in between is another, by its id', { without: ['agt_x', 'agt_lead'] }, passedOn, excluded],
  ['that one in between is another, by its name', { without: [named('boss')] }, passedTwice, excluded],
  ['that the first is another, by its id', { without: ['agt_boss'] }, passedTwice, excluded],
  ['that it does not act for this agent, by its id', { without: ['agt_lead'] }, forAgent, excluded],
  ['that it does not act for this agent, by its name', { without: [named('lead')] }, forAgent, excluded],
  ['all of it, of which one is not so', { person: true, maxDepth: 1, without: ['agt_lead'] }, passedOn, /at most 1/],
] as [string, Demands, Claims, RegExp][]) {
  test(`refused where the guard demands ${what}`, async () => {
    const { send, records } = await setUp({ demands });
    const decision = await send(claims);
    assert.ok(!decision.allowed);
    const { status, problem, headers } = decision;
    assert.deepEqual([status, problem?.error], [403, 'access_denied']);
    assert.equal(problem?.type, 'urn:bailiwick:problem:wrong-authority');
    assert.match(problem?.detail ?? '', sentence);
    assert.equal(headers['www-authenticate'], undefined, 'no scope would help');
    assert.deepEqual(
      records.map(({ code, operation, agent }) => [code, operation, agent]),
      [['wrong_authority', 'list tickets', 'agt_reader']],
    );
  });
}

for (const [what, demands, claims] of [
  ['nothing', {}, forItself],
  ['no person in particular', { person: false }, forItself],
  ['a person, and there is one', { person: true }, passedTwice],
  ['one actor, and it is the one that the person let act', { maxDepth: 1 }, direct],
  ['nobody who acts for another, and it acts for itself', { maxDepth: 0 }, forItself],
  ['three actors at most, and there are three', { maxDepth: 3 }, passedTwice],
  ['that an agent of a longer name is not there', { without: [named('read')] }, direct],
  ['that another instance is not there', { without: [named('reader/ins_2')] }, passedTwice],
  ['that an agent is not there which only opened the task', { without: ['agt_lead'] }, { links: passedOn.links }],
  [
    'that an agent is not there which only opened the task of the one that the person let act',
    { without: ['agt_lead'] },
    { ...passedOn, act: actors(['reader']) },
  ],
] as [string, Demands, Claims][]) {
  test(`let in where the guard demands ${what}`, async () => {
    const { send } = await setUp({ demands });
    const decision = await send({ links: [linkTag(resourceId)], ...claims });
    assert.ok(decision.allowed, decision.allowed ? '' : decision.body);
  });
}

test('more is demanded for one operation than for others', async () => {
  const scope = 'tickets:read tickets:write';
  const { send } = await setUp({ demands: { maxDepth: 2, operations: { 'close ticket': { person: true } } } });
  const close = (claims: Claims) => send({ scope, ...claims }, 'POST', '/tickets/7/close');
  assert.equal((await send(forItself)).allowed, true);
  assert.equal((await close(forItself)).allowed, false);
  assert.equal((await close(passedOn)).allowed, true);
  assert.equal((await send(passedTwice)).allowed, false, 'of everybody');
  assert.equal((await close(passedTwice)).allowed, false, 'there, too');
});

test('what no scope would help is said before what scope is missing', async () => {
  const { send } = await setUp({ demands: { person: true } });
  const decision = await send(forItself, 'POST', '/tickets/7/close');
  assert.ok(!decision.allowed);
  assert.equal(decision.problem?.error, 'access_denied');
});

test('whoever decides by halves is held to the same, and can demand more', async () => {
  const operations = [{ name: 'read', tool: 'read', scope: ['tickets:read'], sensitivity: 'low' as const }];
  const { guard, agent } = await setUp({
    operations,
    demands: { maxDepth: 2, operations: { read: { person: true } } },
  });
  const verified = async (claims: Claims) => guard.verify(await agent.request('GET', '/tickets', { claims }));
  assert.ok(!('verified' in (await verified(passedTwice))), 'what is demanded of everybody comes first');
  const [itself, person] = [await verified(forItself), await verified(passedOn)];
  assert.ok('verified' in itself && 'verified' in person);
  const wanted = { tool: 'read' };
  assert.deepEqual([guard.reaches(itself, wanted), guard.reaches(person, wanted)], [false, true]);
  assert.deepEqual(await guard.reachable(itself, [wanted]), [false]);
  assert.deepEqual(await guard.reachable(person, [wanted]), [true]);
  assert.equal((await guard.allows(itself, wanted)).allowed, false);
  assert.equal((await guard.allows(person, wanted)).allowed, true);
  assert.equal((await guard.allows(person, { ...wanted, demands: { without: ['agt_lead'] } })).allowed, false);
  assert.equal((await guard.allows(person, { ...wanted, demands: { person: 'yes' as never } })).allowed, false);
});

test('the metadata is everybody’s, whatever is demanded', async () => {
  const { guard } = await setUp({ demands: { person: true, maxDepth: 1 } });
  const metadata = await guard.decide({ method: 'GET', url: new URL(guard.metadataUrl).pathname, headers: {} });
  assert.ok(!metadata.allowed);
  assert.equal(metadata.status, 200);
});

test('the key that counts is the token’s own: those of inner actors, and what an actor says of its key, open nothing', async () => {
  const { fake, guard, agent } = await setUp();
  const key = await generateJwk('ES256');
  const other = await fakeAgent(fake, key);
  const cnf = { jkt: thumbprint(other.signer.publicJwk) };
  const act = { ...actors(['reader'], { cnf }), act: actors(['lead'], { cnf }) };
  const token = await agent.token({ ...passedOn, act });
  assert.equal((await guard.decide(await agent.request('GET', '/tickets', { token }))).allowed, true);
  const refused = await guard.decide(await other.request('GET', '/tickets', { token }));
  assert.ok(!refused.allowed);
  assert.deepEqual([refused.status, refused.problem?.error], [401, 'invalid_dpop_proof']);
});

for (const [what, claims, reason] of [
  ['a person without anybody who acts for them', { ...direct, act: undefined }, 'claims: nobody acts for the person'],
  ['a mandate that is no string', { ...direct, mandate: ['mdt_1'] }, 'malformed'],
  ['an actor that is a string', { ...direct, act: named('reader') }, 'malformed'],
  ['an inner actor that is null', { ...direct, act: { ...direct.act, act: null } }, 'malformed'],
  ['an actor without a name', { ...direct, act: { iss: issuer } }, 'malformed'],
] as [string, Claims, string][]) {
  test(`a token is refused that tells of ${what}`, async () => {
    const { send, records } = await setUp();
    const decision = await send(claims);
    assert.ok(!decision.allowed);
    assert.deepEqual([decision.status, decision.problem?.error], [401, 'invalid_token']);
    assert.deepEqual(
      records.map((record) => record.reason),
      [reason],
    );
  });
}

for (const [what, demands, sentence] of [
  ['something unknown', { persons: true }, /demands knows no member "persons"/],
  ['a person by name', { person: 'per_1' }, /demands.person must be true or false/],
  ['half an actor', { maxDepth: 0.5 }, /demands.maxDepth must be a whole number/],
  ['fewer than nobody', { maxDepth: -1 }, /demands.maxDepth must be a whole number/],
  ['the absence of one as text', { without: 'agt_1' }, /demands.without must be a list/],
  ['the absence of a person', { without: ['per_1'] }, /demands.without must list ids \(agt_…\) or SPIFFE IDs.*per_1/],
  ['the absence of a whole domain', { without: ['spiffe://id.example'] }, /is neither/],
  ['the absence of a whole organization', { without: ['spiffe://id.example/default'] }, /is neither/],
  ['something unknown of one operation', { operations: { purge: { people: 1 } } }, /operations\["purge"\] knows no/],
  ['nothing readable of one operation', { operations: { purge: true } }, /operations\["purge"\] must be an object/],
  ['something of an operation that is not there', { operations: { burn: {} } }, /names "burn"/],
] as [string, object, RegExp][]) {
  test(`a guard is not made that demands ${what}`, async () => {
    await assert.rejects(setUp({ demands }), (error: Error) => {
      assert.equal(error.name, 'GuardConfigError');
      assert.match(error.message, sentence);
      return true;
    });
  });
}

test('the operator hears of demands for an operation that is not registered', async () => {
  const fake = await fakeIssuer();
  const problems: string[] = [];
  const { operations: _, ...options } = fake.options({
    demands: { operations: { burn: { person: true } } },
    report: (problem) => problems.push(problem),
  });
  const guard = createGuard(options);
  await guard.decide(await (await fakeAgent(fake)).request());
  assert.deepEqual(
    problems.filter((problem) => problem.includes('burn')),
    ['demands.operations names "burn", which is not registered.'],
  );
});
