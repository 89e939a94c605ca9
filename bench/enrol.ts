// What it costs to enrol an instance, and how long it takes, at a pace that goes on whatever the answers do; and whether a long
// past makes it dearer.
import { X509Certificate } from 'node:crypto';
import { type Child, type EnrolTarget, startChild } from './child.ts';
import { assertion, type KeyPair, keyPair, proof } from './load.ts';
import { median, rounded } from './stats.ts';
import { type Answer, type Connection, fire, jsonPost, open } from './wire.ts';

export interface EnrolOptions {
  /** Enrolments a second. */
  pace: number;
  /** In the paced run. */
  count: number;
  /** Bursts before and after the past, whose medians are compared. */
  rounds: number;
  /** Instances of the past to be made; 0: none. */
  past: number;
}

export const enrolDefaults: EnrolOptions = { pace: 50, count: 1500, rounds: 5, past: 0 };

export interface EnrolFigures {
  latenciesMs: number[];
  cpuUs: number;
  svidCpuUs: number;
  past: { count: number; before: number[]; after: number[]; latenciesMs: number[]; cpuUs: number } | undefined;
}

const agentCount = 20;
const connectionCount = 16;

/** Runs all of it. `say` gets progress in words. Ends the process it started, whatever happens. */
export async function measureEnrol(options: EnrolOptions, say: (line: string) => void): Promise<EnrolFigures> {
  const child = startChild('enrol');
  try {
    const keys = await Promise.all(Array.from({ length: agentCount }, () => keyPair()));
    const target = await child.call('startEnrol', { keys: keys.map(({ publicJwk }) => publicJwk) });
    say(`${target.issuer}, durability ${target.durability}`);
    const load = { child, target, keys };
    const burstSize = Math.max(20, Math.min(500, options.count));
    say(`warming up: ${4 * burstSize} enrolments`);
    for (let n = 0; n < 4; n++) await burst(load, burstSize);
    await child.call('svids', { count: 200 });
    const svidCpuUs = await child.call('svids', { count: 2000 });

    const paced = await pace(load, options);
    say(
      `${options.count} enrolments, ${options.pace} a second: p99 ${percentile(paced.latenciesMs, 99).toFixed(1)} ms`,
    );
    const figures = { ...paced, svidCpuUs, past: undefined };
    if (options.past === 0) return figures;

    const before = await bursts(load, options.rounds, burstSize);
    say(`before: ${median(before).toFixed(1)} µs each; making ${options.past} instances of the past`);
    const there = await child.call('fillPast', { count: options.past });
    say(`there are ${there} instances now`);
    await burst(load, burstSize); // pages that the filling has pushed out of the cache come back
    const after = await bursts(load, options.rounds, burstSize);
    say(`after: ${median(after).toFixed(1)} µs each`);
    const again = await pace(load, options);
    return { ...figures, past: { count: options.past, before, after, ...again } };
  } finally {
    await child.stop();
  }
}

interface Load {
  child: Child;
  target: EnrolTarget;
  keys: KeyPair[];
}

/** Requests that were never sent before, each with a key of its own: an assertion of the agent, a proof of the new key. */
async function prepare({ target, keys }: Load, count: number): Promise<Buffer[]> {
  const url = new URL(target.url);
  const requests: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const own = await keyPair();
    const body = {
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion(
        keys[index % keys.length] as KeyPair,
        target.clientIds[index % keys.length] as string,
        target.issuer,
      ),
    };
    requests.push(jsonPost(url, body, { DPoP: proof(own, target.url, undefined) }));
  }
  return requests;
}

const connections = ({ target }: Load) =>
  Promise.all(Array.from({ length: connectionCount }, () => open(new URL(target.url))));

async function bursts(load: Load, rounds: number, count: number): Promise<number[]> {
  const series: number[] = [];
  for (let round = 0; round < rounds; round++) series.push(await burst(load, count));
  return series;
}

/** As fast as the connections allow. CPU microseconds of each. */
async function burst(load: Load, count: number): Promise<number> {
  const requests = await prepare(load, count);
  const lanes = [await connections(load)];
  const before = await load.child.call('cpu', null);
  const answers = await fire(lanes, requests);
  const cpu = (await load.child.call('cpu', null)) - before;
  for (const connection of lanes.flat()) connection.close();
  check(answers);
  return cpu / count;
}

/**
 * So many a second, whether or not the ones before have been answered: an answer's time counts from when its request was due, so
 * that a server that stalls can't slow down whoever measures it.
 */
async function pace(
  load: Load,
  { pace: perSecond, count }: EnrolOptions,
): Promise<{ latenciesMs: number[]; cpuUs: number }> {
  // proofs live for a minute: no more are made ahead than are sent within half of one
  const chunk = perSecond * 30;
  const latenciesMs: number[] = [];
  let cpu = 0;
  for (let done = 0; done < count; done += chunk) {
    const requests = await prepare(load, Math.min(chunk, count - done));
    const free = await connections(load);
    const all = [...free];
    const answers = new Array<Answer>(requests.length);
    const before = await load.child.call('cpu', null);
    const start = performance.now() + 50;
    await Promise.all(
      requests.map(async (request, index) => {
        const due = start + (index * 1000) / perSecond;
        await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
        const connection = free.pop() ?? (await open(new URL(load.target.url)));
        if (!all.includes(connection)) all.push(connection);
        answers[index] = await (connection as Connection).exchange(request);
        latenciesMs.push(performance.now() - due);
        free.push(connection);
      }),
    );
    cpu += (await load.child.call('cpu', null)) - before;
    for (const connection of all) connection.close();
    check(answers);
  }
  return { latenciesMs, cpuUs: cpu / count };
}

/** Every answer must be an instance with its certificate; every fiftieth certificate is read by OpenSSL. */
function check(answers: readonly Answer[]): void {
  for (const [index, answer] of answers.entries()) {
    if (answer.status !== 201) throw new Error(`request ${index} was answered ${answer.status}: ${answer.body}`);
    const body = JSON.parse(answer.body);
    const [leaf, issuer] = body.x509_svid.certificate_chain.match(
      /-----BEGIN[\s\S]+?-----END CERTIFICATE-----/g,
    ) as string[];
    if (index % 50 !== 0) continue;
    const read = new X509Certificate(leaf as string);
    if (read.subjectAltName !== `URI:${body.spiffe_id}`) throw new Error(`request ${index} got ${read.subjectAltName}`);
    if (!read.verify(new X509Certificate(issuer as string).publicKey)) throw new Error(`request ${index}: not signed`);
  }
}

function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1)] as number;
}

/** The machine-readable line, with exactly the fields that were agreed; and `past`, if one was made. */
export function enrolReport({ latenciesMs, cpuUs, svidCpuUs, past }: EnrolFigures) {
  return {
    bench: 'enrol',
    p50_ms: rounded(percentile(latenciesMs, 50), 2),
    p99_ms: rounded(percentile(latenciesMs, 99), 2),
    cpu_us_per_enrolment: rounded(cpuUs, 1),
    svid_per_s_per_core: Math.round(1_000_000 / svidCpuUs),
    ...(past && {
      past: {
        instances: past.count,
        cpu_us_before: rounded(median(past.before), 1),
        cpu_us_after: rounded(median(past.after), 1),
        ratio: rounded(median(past.after) / median(past.before), 3),
        p99_ms_after: rounded(percentile(past.latenciesMs, 99), 2),
        cpu_us_per_enrolment_after: rounded(past.cpuUs, 1),
      },
    }),
  };
}

/** The same for people. */
export function enrolTable(figures: EnrolFigures, { pace: perSecond }: EnrolOptions): string {
  const report = enrolReport(figures);
  const lines = [
    `Enrolments, ${perSecond} a second, each with an X.509-SVID, durable; Node ${process.version}`,
    '',
    `p50                      ${report.p50_ms} ms`,
    `p99                      ${report.p99_ms} ms`,
    `CPU per enrolment        ${report.cpu_us_per_enrolment} µs`,
    `X.509-SVIDs per core     ${report.svid_per_s_per_core}/s`,
  ];
  if (report.past) {
    const { instances, cpu_us_before, cpu_us_after, ratio, p99_ms_after } = report.past;
    lines.push(
      '',
      `In bursts, before and after ${instances} instances of the past`,
      `CPU per enrolment        ${cpu_us_before} µs, then ${cpu_us_after} µs (× ${ratio})`,
      `p99 at the same pace     ${p99_ms_after} ms`,
    );
  }
  return lines.join('\n');
}
