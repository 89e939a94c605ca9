// What a token costs the server that issues it: CPU microseconds of the whole process, ours and the peer's by turns.
import { createRequire } from 'node:module';
import { type Child, type Profile, profiles, type Signature, startChild, type Target } from './child.ts';
import { type BenchAgent, check, connect, disconnect, fetchJwks, makeAgents, prepare, run } from './load.ts';
import { formatSpread, median, rounded, type Spread, spread } from './stats.ts';

export interface TokenOptions {
  rounds: number;
  tokens: number;
  warmup: number;
  agents: number;
  concurrency: number;
}

export const tokenDefaults: TokenOptions = { rounds: 9, tokens: 3000, warmup: 6000, agents: 20, concurrency: 48 };

/** What can't be left out beside the token's own signature. */
const verified: Record<Profile, readonly Signature[]> = {
  dpop: ['assertion', 'proof'],
  bearer: ['assertion'],
  mtls: [],
};

interface Contender {
  name: 'bailiwick' | 'peer';
  child: Child;
  target: Target;
}

interface Series {
  cpu: number[];
  perSecond: number[];
}

type Measured = Record<Profile, { bailiwick: Series; peer: Series; floor: number[] }>;

/** Runs the whole comparison. `say` gets progress in words. Ends every process it started, whatever happens. */
export async function measureTokens(options: TokenOptions, say: (line: string) => void): Promise<Measured> {
  const children: Child[] = [];
  const child = (name: string) => {
    const started = startChild(name);
    children.push(started);
    return started;
  };
  try {
    const { agents, ca } = await makeAgents(options.agents);
    const start = {
      agents: agents.map((agent) => agent.identity.publicJwk),
      certificates: { names: agents.map(({ name }) => name), ca },
    };
    const contenders: Contender[] = [];
    for (const [name, file] of [
      ['bailiwick', 'bailiwick'],
      ['peer', 'oidc-provider'],
    ] as const) {
      const process = child(file);
      const target = await process.call('start', start);
      say(`${file}: ${target.issuer}, durability ${target.durability}`);
      contenders.push({ name, child: process, target });
    }
    return await rounds(contenders, child('floor'), agents, options, say);
  } finally {
    await Promise.all(children.map((started) => started.stop()));
  }
}

async function rounds(
  contenders: Contender[],
  floor: Child,
  agents: BenchAgent[],
  options: TokenOptions,
  say: (line: string) => void,
): Promise<Measured> {
  const empty = () => ({ bailiwick: series(), peer: series(), floor: [] as number[] });
  const measured: Measured = { dpop: empty(), bearer: empty(), mtls: empty() };
  for (const profile of profiles) {
    say(`warming up: ${options.warmup} tokens each, ${profile}`);
    for (const contender of contenders) await burst(contender, agents, profile, options, options.warmup);
    await floor.call('floor', { verified: verified[profile], count: options.warmup });
  }
  for (let round = 0; round < options.rounds; round++) {
    // A B, then B A: what drifts over time meets both alike.
    const order = round % 2 === 0 ? contenders : contenders.toReversed();
    for (const profile of profiles) {
      measured[profile].floor.push(await floor.call('floor', { verified: verified[profile], count: options.tokens }));
      for (const contender of order) {
        const { cpu, perSecond } = await burst(contender, agents, profile, options, options.tokens);
        measured[profile][contender.name].cpu.push(cpu);
        measured[profile][contender.name].perSecond.push(perSecond);
      }
      const { bailiwick, peer, floor: bare } = measured[profile];
      const last = [bailiwick.cpu, peer.cpu, bare].map((values) => (values.at(-1) ?? Number.NaN).toFixed(1));
      say(`round ${round + 1}/${options.rounds} ${profile}: ours ${last[0]}, peer ${last[1]}, floor ${last[2]} µs`);
    }
  }
  return measured;
}

const series = (): Series => ({ cpu: [], perSecond: [] });

/** One burst: made beforehand, fired, and checked afterwards. Gives CPU microseconds per token and tokens per second. */
async function burst(
  { child, target }: Contender,
  agents: BenchAgent[],
  profile: Profile,
  options: TokenOptions,
  count: number,
) {
  const load = { target, agents, profile, concurrency: options.concurrency };
  const jwks = await fetchJwks(target);
  const requests = await prepare(load, count);
  const lanes = await connect(load);
  const cpuBefore = await child.call('cpu', null);
  const startedAt = performance.now();
  const answers = await run(lanes, requests);
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = (await child.call('cpu', null)) - cpuBefore;
  disconnect(lanes);
  await check(load, answers, jwks);
  return { cpu: cpu / count, perSecond: count / seconds };
}

/** The machine-readable line, with exactly the fields that were agreed. */
export function tokenReport(measured: Measured) {
  const { version } = createRequire(import.meta.url)('oidc-provider/package.json') as { version: string };
  const profile = (name: Profile) => {
    const { bailiwick, peer, floor } = measured[name];
    const [ours, theirs, bare] = [median(bailiwick.cpu), median(peer.cpu), median(floor)];
    return {
      cpu_us_per_token: rounded(ours, 1),
      floor_us: rounded(bare, 1),
      ratio_to_floor: rounded(ours / bare, 2),
      peer_cpu_us_per_token: rounded(theirs, 1),
      times_peer: rounded(theirs / ours, 2),
      tokens_per_s: Math.round(median(bailiwick.perSecond)),
    };
  };
  return {
    bench: 'token',
    profiles: { dpop: profile('dpop'), bearer: profile('bearer'), mtls: profile('mtls') },
    peer: `oidc-provider@${version}`,
    node: process.version,
  };
}

/** The same for people: medians with the smallest and largest round. */
export function tokenTable(measured: Measured): string {
  const report = tokenReport(measured);
  const cell = (values: Spread) => formatSpread(values).padEnd(24);
  const lines = [`CPU µs per token, median (min–max); ${report.peer}, Node ${report.node}`, ''];
  lines.push(
    `${'profile'.padEnd(10)}${'bailiwick'.padEnd(24)}${'peer'.padEnd(24)}${'floor'.padEnd(24)}× floor  × peer  tokens/s`,
  );
  for (const name of profiles) {
    const { bailiwick, peer, floor } = measured[name];
    const { ratio_to_floor, times_peer, tokens_per_s } = report.profiles[name];
    const cells = [bailiwick.cpu, peer.cpu, floor].map((values) => cell(spread(values))).join('');
    const ratios = `${String(ratio_to_floor).padEnd(9)}${String(times_peer).padEnd(8)}${tokens_per_s}`;
    lines.push(`${name.padEnd(10)}${cells}${ratios}`);
  }
  return lines.join('\n');
}
