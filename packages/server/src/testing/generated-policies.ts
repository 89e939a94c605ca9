/** Test support: policies out of a grammar. */
import fc from 'fast-check';
import { actions, identifiers, literal, roles, word } from './generated-words.ts';

const networks = [
  '10.0.0.0/8',
  '10.1.2.3',
  '10.9.9.9/8',
  '192.0.2.0/24',
  '2001:db8::/32',
  '2001:db8:ffff::/33',
  '::/0',
  '0.0.0.0/0',
  '::ffff:a00:0/104',
  '::1',
  '10.1.2.3/32',
];
const instants = [
  '2026-11-23',
  '2026-11-23T01:00:00Z',
  '2026-03-29T02:30:00+0100',
  '2026-11-23T01:00:00.000-0800',
  '2027-01-01T00:00:00Z',
];

const strings = [
  'principal.owner',
  'principal.name',
  'principal.kind',
  'principal.environment',
  'principal.instance',
  'principal.id',
  'principal.nothing',
  'resource.sensitivity',
  'resource.name',
  'resource.identifier',
  'resource.api',
  'resource.kind',
  'resource.id',
  'context.task.workflow',
  'context.task.purpose',
  'context.task.provenance',
  'context.task.id',
  'context.task["step"]',
  'context.zone.name',
  'context.zone.provenance',
  'context.country',
  'context.address_provenance',
  'context.binding',
  'context.method',
  'context.subject',
  'context.operation',
  'context.time.weekday',
  'context.time.date',
  'context.nothing',
  'context.task.nothing.more',
];
const entities = fc.oneof(
  fc.constantFrom(...roles).map((id) => `Role::${literal(id)}`),
  word.map((id) => `Agent::${literal(id)}`),
  word.map((id) => `Subject::${literal(`user:${id}`)}`),
  fc.constantFrom(...identifiers).map((id) => `Api::${literal(id)}`),
  fc
    .tuple(fc.constantFrom('Operation', 'Tool'), fc.constantFrom(...identifiers), word)
    .map(([type, api, name]) => `${type}::${literal(`${api}#${name}`)}`),
  word.map((id) => `Object::${literal(`record:${id}`)}`),
);
const typed = fc.constantFrom('Agent', 'Subject', 'Api', 'Operation', 'Tool', 'Object');
const variable = fc.constantFrom('principal', 'resource');
const list = (each: fc.Arbitrary<string>) => fc.array(each, { maxLength: 3 }).map((all) => `[${all.join(', ')}]`);
const stringList = list(word.map(literal));

const { yes } = fc.letrec<{ text: string; long: string; yes: string }>((tie) => ({
  text: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...strings) },
    { weight: 4, arbitrary: word.map(literal) },
    fc
      .tuple(fc.constantFrom('principal', 'resource', 'context.claimed'), word)
      .map(([of, tag]) => `${of}.getTag(${literal(tag)})`),
    fc
      .tuple(fc.constantFrom('principal', 'context.claimed'), fc.constantFrom(...strings))
      .map(([of, tag]) => `${of}.getTag(${tag})`),
    fc.tuple(tie('yes'), tie('text'), tie('text')).map(([a, b, c]) => `(if ${a} then ${b} else ${c})`),
    tie('text').map((a) => `{a: ${a}}.a`),
    tie('yes').map((a) => `(if ${a} then principal else resource).name`),
  ),
  long: fc.oneof(
    fc.constantFrom(
      'context.time.hour',
      'context.time.minute',
      'context.time.minutes',
      'context.proof_age',
      'context.chain_depth',
      'context.nothing',
    ),
    fc.integer({ min: -3, max: 1500 }).map(String),
    fc.constantFrom('9223372036854775807', '9007199254740993', '0', '60'),
    fc
      .tuple(tie('long'), fc.constantFrom('+', '-', '*'), tie('long'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    tie('long').map((a) => `-(${a})`),
  ),
  yes: fc.oneof(
    fc.tuple(tie('text'), fc.constantFrom('==', '!='), tie('text')).map((parts) => parts.join(' ')),
    fc.tuple(stringList, tie('text')).map(([all, a]) => `${all}.contains(${a})`),
    fc
      .tuple(
        fc.constantFrom(...strings),
        fc.array(fc.constantFrom('*', '*', 'a', 'pha', 'al', '\\*', '\\"', 'Ω', ''), { maxLength: 5 }),
      )
      .map(([a, pattern]) => `${a} like "${pattern.join('')}"`),
    fc
      .tuple(tie('long'), fc.constantFrom('<', '<=', '>', '>=', '==', '!='), tie('long'))
      .map((parts) => parts.join(' ')),
    fc.constantFrom(
      'context has task',
      'context has task.workflow',
      'context.task has purpose',
      'context has address',
      'context has zone',
      'context has zone.name',
      'principal has instance',
      'principal has owner',
      'resource has api',
      'context has subject',
      'context has "__proto__"',
      'context has constructor',
      'principal has toString',
      'context has nothing.more',
      'context.nothing has more',
      'context.binding has more',
      'context.claimed has x',
    ),
    fc
      .tuple(fc.constantFrom('principal', 'resource', 'context.claimed'), word)
      .map(([of, tag]) => `${of}.hasTag(${literal(tag)})`),
    fc
      .tuple(fc.constantFrom('principal', 'context.claimed'), fc.constantFrom(...strings))
      .map(([of, tag]) => `${of}.hasTag(${tag})`),
    fc.tuple(variable, fc.constantFrom('==', '!=', 'in'), entities).map((parts) => parts.join(' ')),
    fc.tuple(variable, list(entities)).map(([a, b]) => `${a} in ${b}`),
    fc.tuple(list(entities), variable).map(([a, b]) => `${a}.contains(${b})`),
    fc.tuple(variable, typed).map(([a, b]) => `${a} is ${b}`),
    fc.tuple(variable, typed, entities).map(([a, b, c]) => `${a} is ${b} in ${c}`),
    fc.constantFrom(...actions).map((action) => `action == Action::"${action}"`),
    fc.subarray([...actions]).map((some) => `action in [${some.map((action) => `Action::"${action}"`).join(', ')}]`),
    fc
      .tuple(fc.constantFrom('context.scope', 'context.details', 'context.nothing'), tie('text'))
      .map(([a, b]) => `${a}.contains(${b})`),
    fc
      .tuple(
        fc.constantFrom('context.scope', 'context.details'),
        fc.constantFrom('containsAll', 'containsAny'),
        stringList,
      )
      .map(([a, operator, b]) => `${a}.${operator}(${b})`),
    fc
      .tuple(
        stringList,
        fc.constantFrom('containsAll', 'containsAny'),
        fc.constantFrom('context.scope', 'context.details'),
      )
      .map(([a, operator, b]) => `${a}.${operator}(${b})`),
    fc.tuple(fc.constantFrom('context.scope', 'context.details'), stringList).map(([a, b]) => `${a} == ${b}`),
    fc.constantFrom(
      'context.scope.isEmpty()',
      'context.details.isEmpty()',
      'context.scope == context.details',
      'context.scope.containsAny(context.details)',
    ),
    fc.constantFrom(...networks).map((network) => `context.address.isInRange(ip("${network}"))`),
    fc.constantFrom(...networks).map((network) => `context.address == ip("${network}")`),
    fc.constantFrom(
      'context.address.isLoopback()',
      'context.address.isMulticast()',
      'context.address.isIpv4()',
      'context.address.isIpv6()',
      'ip("10.0.0.0/8").isInRange(context.address)',
      'context.address.isInRange(context.address)',
      'ip(context.country).isIpv4()',
    ),
    fc
      .tuple(fc.constantFrom('<', '<=', '>', '>=', '=='), fc.constantFrom(...instants))
      .map(([operator, at]) => `context.now ${operator} datetime("${at}")`),
    fc.constantFrom(...instants).map((at) => `datetime("${at}") <= context.now`),
    fc.constantFrom(
      'context.now.toTime() < duration("2h")',
      'context.now.toDate() == datetime("2026-11-23")',
      'context.now.offset(duration("1d")) > datetime("2026-11-24")',
      'context.now.durationSince(datetime("2026-11-22")).toHours() > 30',
      'context.now.offset(duration("106751991167d")) > context.now',
    ),
    fc.constantFrom(
      'context.task == {provenance: "declared"}',
      'context == context',
      'principal == principal',
      '{p: principal}.p.name == "alpha"',
      '(if context has task then principal else principal) in Role::"r1"',
      'true',
      'false',
      'principal.owner < 3',
      'context.task like "x"',
      'decimal("1.2").lessThan(decimal("1.3"))',
      'context.claimed == Claimed::"claimed"',
      'principal == context.claimed',
      'context.scope.contains(3)',
    ),
    fc.tuple(tie('yes'), fc.constantFrom('&&', '||'), tie('yes')).map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    tie('yes').map((a) => `!(${a})`),
    fc.tuple(tie('yes'), tie('yes'), tie('yes')).map(([a, b, c]) => `(if ${a} then ${b} else ${c})`),
  ),
}));

/** What stands between the braces of `when`: no longer than a policy may be. */
export const condition = yes.filter((body) => body.length < 1500);

/** Every comparison with a network, and some others that chance alone would seldom bring together with what tells them apart. */
export const comparisons: readonly string[] = [
  ...networks.flatMap((network) => [
    `context.address.isInRange(ip("${network}"))`,
    `context has address && context.address.isInRange(ip("${network}"))`,
  ]),
  ...['isLoopback', 'isMulticast', 'isIpv4', 'isIpv6'].map((of) => `context.address.${of}()`),
  ...instants.flatMap((at) => ['<', '<=', '>', '>='].map((than) => `context.now ${than} datetime("${at}")`)),
  ...strings.flatMap((path) => [
    `${path} == "alpha"`,
    `${path} != "beta"`,
    `["alpha", "\\"", "low"].contains(${path})`,
    `${path} like "a*"`,
    `${path} like "*a*a*"`,
    `${path} like "al*alpha"`,
    `${path} like "*\\*"`,
    `${path} == context.task.workflow`,
    `principal.getTag("alpha") == ${path}`,
  ]),
  ...[0, 60, 119].flatMap((n) => ['<', '<=', '>', '>=', '==', '!='].map((than) => `context.time.minutes ${than} ${n}`)),
  ...[0, 1, 2, 60].map((n) => `${n} < context.proof_age`),
];

const head = (name: string) =>
  fc.oneof(
    { weight: 14, arbitrary: fc.constant(name) },
    { weight: 2, arbitrary: entities.map((entity) => `${name} == ${entity}`) },
    { weight: 4, arbitrary: entities.map((entity) => `${name} in ${entity}`) },
    {
      weight: 2,
      arbitrary: fc.constantFrom('Agent', 'Api', 'Operation', 'Subject').map((type) => `${name} is ${type}`),
    },
    { weight: 1, arbitrary: fc.tuple(typed, entities).map(([type, entity]) => `${name} is ${type} in ${entity}`) },
  );
const actionHead = fc.oneof(
  { weight: 4, arbitrary: fc.constant('action') },
  fc.constantFrom(...actions).map((action) => `action == Action::"${action}"`),
  fc
    .subarray([...actions], { minLength: 1 })
    .map((some) => `action in [${some.map((action) => `Action::"${action}"`).join(', ')}]`),
);
const clause = fc.tuple(fc.constantFrom('when', 'unless'), condition).map(([kind, body]) => `${kind} { ${body} }`);

/** One statement, without its annotations. */
export const statement = fc.record({
  effect: fc.constantFrom('permit' as const, 'permit' as const, 'forbid' as const),
  stepUp: fc.constantFrom(undefined, 'approval', 'task'),
  text: fc
    .tuple(head('principal'), actionHead, head('resource'), fc.array(clause, { maxLength: 2 }))
    .map(([principal, action, resource, clauses]) => `(${principal}, ${action}, ${resource}) ${clauses.join(' ')};`),
});
