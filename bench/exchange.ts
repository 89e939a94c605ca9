// What an exchange costs the server (RFC 8693) where three agents stand in the chain: of a token that an API was called with, and of a mandate.
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { type Child, type ExchangeTarget, type Signature, startChild } from './child.ts';
import { assertion, fetchJwks, type KeyPair, keyPair, nonceFor, proof } from './load.ts';
import { formatSpread, median, rounded, spread } from './stats.ts';
import { type Answer, fire, formPost, open } from './wire.ts';

export interface ExchangeOptions {
  rounds: number;
  exchanges: number;
  warmup: number;
  agents: number;
  concurrency: number;
}

export const exchangeDefaults: ExchangeOptions = {
  rounds: 7,
  exchanges: 2000,
  warmup: 4000,
  agents: 20,
  concurrency: 48,
};

/** How many agents act in each token that comes of it. */
const hops = 3;

const types = {
  token: 'urn:ietf:params:oauth:token-type:access_token',
  mandate: 'urn:bailiwick:params:oauth:token-type:mandate',
};
type Kind = keyof typeof types;
const kinds: readonly Kind[] = ['token', 'mandate'];

/** What can't be left out beside the signature of the result. */
const verified: Record<Kind, readonly Signature[]> = {
  token: ['assertion', 'proof', 'token'],
  mandate: ['assertion', 'proof'],
};

export type ExchangeFigures = Record<Kind, { cpu: number[]; floor: number[] }>;

interface Load {
  child: Child;
  target: ExchangeTarget;
  agents: readonly { identity: KeyPair; binding: KeyPair }[];
  jwks: JSONWebKeySet;
  concurrency: number;
}

/** Runs all of it. `say` gets progress in words. Ends the processes it started, whatever happens. */
export async function measureExchange(options: ExchangeOptions, say: (line: string) => void): Promise<ExchangeFigures> {
  const [child, floor] = [startChild('exchange'), startChild('floor')];
  try {
    const agents = await Promise.all(
      Array.from({ length: options.agents }, async () => ({ identity: await keyPair(), binding: await keyPair() })),
    );
    const target = await child.call('startExchange', { keys: agents.map(({ identity }) => identity.publicJwk) });
    say(`${target.issuer}, durability ${target.durability}`);
    const load = { child, target, agents, jwks: await fetchJwks(target), concurrency: options.concurrency };
    const figures: ExchangeFigures = { token: { cpu: [], floor: [] }, mandate: { cpu: [], floor: [] } };
    say(`warming up: ${options.warmup} exchanges of each kind`);
    for (const kind of kinds) {
      await burst(load, kind, options.warmup);
      await floor.call('floor', { verified: verified[kind], count: options.warmup });
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const kind of kinds) {
        const bare = await floor.call('floor', { verified: verified[kind], count: options.exchanges });
        const cpu = await burst(load, kind, options.exchanges);
        figures[kind].floor.push(bare);
        figures[kind].cpu.push(cpu);
        say(`round ${round + 1}/${options.rounds} ${kind}: ${cpu.toFixed(1)} µs, floor ${bare.toFixed(1)} µs`);
      }
    }
    return figures;
  } finally {
    await Promise.all([child.stop(), floor.stop()]);
  }
}

/** One burst: made beforehand, fired, and checked afterwards. Gives CPU microseconds per exchange. */
async function burst(load: Load, kind: Kind, count: number): Promise<number> {
  const { child, target } = load;
  const at = Array.from({ length: count }, (_, index) => index % target.lines.length);
  const subjects = kind === 'mandate' ? at.map((line) => lineOf(load, line).last) : await tokensOf(load, at);
  const requests = await prepare(
    load,
    kind,
    at.map((line) => line + 2),
    subjects,
  );
  const connections = await connect(load);
  const before = await child.call('cpu', null);
  const answers = await fire([connections], requests);
  const cpu = (await child.call('cpu', null)) - before;
  for (const connection of connections) connection.close();
  await check(load, answers, at);
  return cpu / count;
}

/** What the third of each line is called with: a token of the second, for it alone. Each is exchanged once, as it would be. */
async function tokensOf(load: Load, at: readonly number[]): Promise<string[]> {
  const parts = at.map((line) => lineOf(load, line).part);
  const requests = await prepare(
    load,
    'mandate',
    at.map((line) => line + 1),
    parts,
  );
  const connections = await connect(load);
  const answers = await fire([connections], requests);
  for (const connection of connections) connection.close();
  return answers.map((answer) => tokenIn(answer));
}

const connect = ({ target, concurrency }: Load) =>
  Promise.all(Array.from({ length: concurrency }, () => open(new URL(target.tokenEndpoint))));

const lineOf = ({ target }: Load, at: number) => target.lines[at] as ExchangeTarget['lines'][number];

/** Requests, each by the agent at its place with an assertion and a proof never used before. */
async function prepare(load: Load, kind: Kind, who: readonly number[], subjects: readonly string[]): Promise<Buffer[]> {
  const { target, agents } = load;
  const url = new URL(target.tokenEndpoint);
  const request = (index: number, nonce: string | undefined) => {
    const at = (who[index] as number) % agents.length;
    const { identity, binding } = agents[at] as Load['agents'][number];
    const form = {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: subjects[index] as string,
      subject_token_type: types[kind],
      resource: target.resource,
      scope: target.scope,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion(identity, target.clientIds[at] as string, target.issuer),
    };
    return formPost(url, form, { DPoP: proof(binding, target.tokenEndpoint, nonce) });
  };
  const nonce = await nonceFor(url, request(0, undefined));
  return subjects.map((_, index) => request(index, nonce));
}

function tokenIn({ status, body }: Answer): string {
  if (status !== 200) throw new Error(`an exchange was answered ${status}: ${body}`);
  return JSON.parse(body).access_token;
}

/** Every answer must be a token; every fiftieth is verified with jose, and names the person and three agents. */
async function check(
  { target, jwks, ...load }: Load,
  answers: readonly Answer[],
  at: readonly number[],
): Promise<void> {
  const keys = createLocalJWKSet(jwks);
  const options = { issuer: target.issuer, audience: target.resource, typ: 'at+jwt', algorithms: ['ES256'] };
  for (const [index, answer] of answers.entries()) {
    const token = tokenIn(answer);
    if (index % 50 !== 0) continue;
    const line = at[index] as number;
    const { payload } = await jwtVerify<{ act?: Act; cnf?: { jkt?: string } }>(token, keys, options);
    if (payload.sub !== target.lines[line]?.person) throw new Error(`exchange ${index} is for ${payload.sub}`);
    if (depth(payload.act) !== hops) throw new Error(`exchange ${index}: ${JSON.stringify(payload.act)}`);
    const actor = load.agents[(line + 2) % load.agents.length];
    if (payload.cnf?.jkt !== actor?.binding.thumbprint) throw new Error(`exchange ${index}: bound to another key`);
  }
}

interface Act {
  act?: Act;
}
const depth = (act: Act | undefined): number => (act === undefined ? 0 : 1 + depth(act.act));

/** The machine-readable line: of a token, and the same three figures of a mandate. */
export function exchangeReport(figures: ExchangeFigures) {
  const of = (kind: Kind) => {
    const [cpu, bare] = [median(figures[kind].cpu), median(figures[kind].floor)];
    return {
      cpu_us_per_exchange: rounded(cpu, 1),
      floor_us: rounded(bare, 1),
      ratio_to_floor: rounded(cpu / bare, 2),
    };
  };
  return { bench: 'exchange', hops, ...of('token'), of_mandate: of('mandate') };
}

/** The same for people: medians with the smallest and largest round. */
export function exchangeTable(figures: ExchangeFigures): string {
  const report = exchangeReport(figures);
  const ratios = { token: report.ratio_to_floor, mandate: report.of_mandate.ratio_to_floor };
  const cell = (values: readonly number[]) => formatSpread(spread(values)).padEnd(24);
  return [
    `CPU µs per exchange, three agents in the chain, median (min–max); Node ${process.version}`,
    '',
    `${'of a'.padEnd(10)}${'bailiwick'.padEnd(24)}${'floor'.padEnd(24)}× floor`,
    ...kinds.map((kind) => `${kind.padEnd(10)}${cell(figures[kind].cpu)}${cell(figures[kind].floor)}${ratios[kind]}`),
  ].join('\n');
}
