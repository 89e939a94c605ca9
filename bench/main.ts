// npm run -s bench -- <token|exchange|guard|enrol|policy|revocation|events> [--json] [--rounds n] [--count n] [--past n]
// Figures go to stdout (with --json one line of JSON, the last), progress to stderr.
import { parseArgs } from 'node:util';
import { pinGenerator } from './child.ts';
import { enrolDefaults, enrolReport, enrolTable, measureEnrol } from './enrol.ts';
import { eventDefaults, eventsReport, eventsTable, measureEvents } from './events.ts';
import { exchangeDefaults, exchangeReport, exchangeTable, measureExchange } from './exchange.ts';
import { guardDefaults, guardReport, guardTable, measureGuard } from './guard.ts';
import { measurePolicy, policyDefaults, policyReport, policyTable } from './policy.ts';
import { measureRevocation, revocationDefaults, revocationReport, revocationTable } from './revocation.ts';
import { endsDefaults, endsReport, endsTable, measureEnds } from './revocation-ends.ts';
import type { RevocationOptions } from './revocation-world.ts';
import { measureTokens, tokenDefaults, tokenReport, tokenTable } from './token.ts';

const usage = `Usage: npm run -s bench -- <token|exchange|guard|enrol|policy|revocation|events> [options]

  token            what a token costs the server that issues it, beside oidc-provider and the bare signatures
  exchange         what it costs to exchange a token or a mandate with three agents in the chain, beside the bare signatures
  guard            what a request costs the API that is guarded, beside jose and the bare signature
  enrol            what an instance costs to enrol, fifty a second
  policy           what a decision by policy costs: 200 policies, 10,000 agents, a new task and address in every request
  revocation       how long until a revocation is true at 100 guards, and whether anybody accepts what it ended after that

  events           what it costs to read a log of ten million events: pages, stories, and appending to it

  --json           one line of JSON instead of a table
  --rounds <n>     how often each is measured, by turns
  --count <n>      tokens (or verifications, decisions) in each round; enrolments in all; revocations in each run
  --guards <n>     with revocation
  --ends           with revocation: as many early ends of tokens as there can be, and what becomes of issuing and of a guard at its bound; --count is seconds
  --rows <n>       with events: how long the log is
  --past <n>       with enrol: measure again after so many instances of the past were made
`;

const say = (line: string) => process.stderr.write(`${line}\n`);
const print = (line: string) => process.stdout.write(`${line}\n`);

function positive(value: string | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`expected a whole number above 0, not ${value}`);
  return number;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      count: { type: 'string' },
      past: { type: 'string' },
      rows: { type: 'string' },
      guards: { type: 'string' },
      ends: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const [what] = positionals;
  if (
    values.help ||
    positionals.length !== 1 ||
    !['token', 'exchange', 'guard', 'enrol', 'policy', 'revocation', 'events'].includes(what ?? '')
  ) {
    (values.help ? print : say)(usage);
    return values.help ? 0 : 2;
  }
  // a hundred guards aren't a load generator: they are measured too, and one core of their own would be a tenth of what they have in life
  if (what !== 'revocation' && !pinGenerator())
    say('no taskset here, or a single core: measured without cores of their own');
  if (what === 'token') {
    const tokens = positive(values.count, tokenDefaults.tokens);
    const rounds = positive(values.rounds, tokenDefaults.rounds);
    const warmup = Math.min(tokenDefaults.warmup, 2 * tokens);
    const measured = await measureTokens({ ...tokenDefaults, rounds, tokens, warmup }, say);
    print(values.json ? JSON.stringify(tokenReport(measured)) : tokenTable(measured));
    return 0;
  }
  if (what === 'exchange') {
    const exchanges = positive(values.count, exchangeDefaults.exchanges);
    const rounds = positive(values.rounds, exchangeDefaults.rounds);
    const warmup = Math.min(exchangeDefaults.warmup, 2 * exchanges);
    const figures = await measureExchange({ ...exchangeDefaults, rounds, exchanges, warmup }, say);
    print(values.json ? JSON.stringify(exchangeReport(figures)) : exchangeTable(figures));
    return 0;
  }
  if (what === 'enrol') {
    const options = {
      ...enrolDefaults,
      count: positive(values.count, enrolDefaults.count),
      rounds: positive(values.rounds, enrolDefaults.rounds),
      past: values.past === undefined ? 0 : positive(values.past, 0),
    };
    const measured = await measureEnrol(options, say);
    print(values.json ? JSON.stringify(enrolReport(measured)) : enrolTable(measured, options));
    return 0;
  }
  if (what === 'revocation' && values.ends) {
    const measured = await measureEnds({ ...endsDefaults, seconds: positive(values.count, endsDefaults.seconds) }, say);
    print(values.json ? JSON.stringify(endsReport(measured)) : endsTable(measured));
    return 0;
  }
  if (what === 'revocation') {
    const guards = positive(values.guards, revocationDefaults.guards);
    const options: RevocationOptions = {
      ...revocationDefaults,
      guards,
      hanging: Math.min(revocationDefaults.hanging, Math.ceil(guards / 2)),
      revocations: positive(values.count, revocationDefaults.revocations),
    };
    const { healthy, hanging } = await measureRevocation(options, say);
    const lines = [healthy, hanging].map((run) => JSON.stringify(revocationReport(options, run)));
    print(values.json ? lines.join('\n') : revocationTable(options, { healthy, hanging }));
    return 0;
  }
  if (what === 'events') {
    const rows = positive(values.rows, eventDefaults.rows);
    const measured = await measureEvents({ rows, pages: positive(values.count, eventDefaults.pages) }, say);
    print(values.json ? JSON.stringify(eventsReport(measured)) : eventsTable(measured));
    return 0;
  }
  if (what === 'policy') {
    const rounds = positive(values.rounds, policyDefaults.rounds);
    const measured = await measurePolicy({ rounds, count: positive(values.count, policyDefaults.count) }, say);
    print(values.json ? JSON.stringify(policyReport(measured)) : policyTable(measured));
    return 0;
  }
  const rounds = positive(values.rounds, guardDefaults.rounds);
  const measured = await measureGuard({ rounds, count: positive(values.count, guardDefaults.count) }, say);
  print(values.json ? JSON.stringify(guardReport(measured)) : guardTable(measured));
  return 0;
}

process.exitCode = await main();
