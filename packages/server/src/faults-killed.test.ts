/** Faults: the server is killed at any instant under load. What it acknowledged is on record, once, and what it revoked stays revoked. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { databases } from './testing/harness.ts';
import { killableServers } from './testing/killed.ts';
import { allPages } from './testing/pages.ts';
import { type Answer, type ServerForClients, type TokenClient, tokenClient } from './testing/token-client.ts';

/** Each with its own data, in one process: to load the program takes most of the time, and every death of it is one of each. */
const together = { sqlite: 8, postgres: 1 };
/** Deaths in all. On the oldest Node.js fewer; and a database in a process of its own is not killed along. */
const kills = { sqlite: Number(process.versions.node.split('.')[0]) > 24 ? 100 : 20, postgres: 15 };
/** What comes in addition each time: requests, tokens to be revoked, requests for what nobody may have, and changes of the registry. */
const requestsEach = 10;
const revocationsEach = 4;
const refusalsEach = 2;
const changesEach = 2;

for (const database of databases) {
  describe(`Faults: killed at any instant under load, on ${database}`, () => {
    const name = 'every acknowledged decision has its event, none twice; every acknowledged revocation holds';
    // so many starts take their time on a machine that is busy
    test(name, { timeout: 600_000 }, async (t) => {
      const { servers, kill, startAgain, startAndKill } = await killableServers(t, database, {
        together: together[database],
        spare: true,
        config: { dpop: { nonce: 'optional', proof_max_age_seconds: 300 } },
      });
      const counts = { kills: 0, cut: 0, inStart: 0 };
      const works = await Promise.all(servers.map(async (server) => newWork(await tokenClient(server), server)));
      for (let round = 1; counts.kills < kills[database]; round++) {
        const loads = await Promise.all(works.map((work) => work.begin()));
        // told by answers: a clock would end a slow machine's server before it has done anything
        for (const { underWay } of loads) await underWay;
        await pause(Math.random() * 4);
        await kill();
        counts.kills += works.length;
        for (const { outcome } of loads) if ((await outcome) > 0) counts.cut++;
        if (round % 10 === 0) {
          if (await startAndKill(Math.random() * 200)) counts.inStart += works.length;
          counts.kills += works.length;
        }
        await startAgain();
      }
      assert.ok(counts.cut > counts.kills / 4, `the end came too late or too early: ${JSON.stringify(counts)}`);
      t.diagnostic(JSON.stringify(counts));
      for (const [n, work] of works.entries()) {
        await work.finish();
        const server = servers[n] as ServerForClients;
        const issued = await eventsOf(server, work.agent, 'token.issued');
        assert.equal(issued.length, work.requests, 'one event for each request, whenever it was cut off');
        const known = new Set(issued);
        assert.equal(known.size, issued.length);
        for (const jti of work.tokens.keys()) assert.ok(known.has(jti), 'a token that was answered stands in the log');
        // an administrator's has their own token as `jti`, and what they revoked as its target
        const revoked = (await allPages<{ jti?: string; target?: string }>(server, '/events?type=token.revoked')).map(
          ({ jti, target }) => target ?? jti,
        );
        assert.equal(new Set(revoked).size, revoked.length);
        assert.deepEqual(new Set(revoked), work.revoked);
        const refused = await allPages<{ trace: string }>(server, `/events?agent=${work.agent}&type=token.refused`);
        const changed = await allPages<{ target: string }>(server, '/events?type=team.created');
        const made = await allPages<{ id: string }>(server, '/teams?organization=default');
        once(
          work.refused,
          refused.map(({ trace }) => trace),
          'refusal',
        );
        once(
          work.made,
          changed.map(({ target }) => target),
          'change',
        );
        for (const { target } of changed)
          assert.ok(
            made.some(({ id }) => id === target),
            'what is told of was done',
          );
      }
    });
  });
}

/** Everything that was answered is told of, and nothing twice. */
function once(answered: ReadonlySet<string>, told: readonly string[], what: string): void {
  const known = new Set(told);
  assert.equal(known.size, told.length, `no ${what} twice`);
  for (const one of answered) assert.ok(known.has(one), `a ${what} that was answered stands in the log`);
}

/** Requests and revocations that are sent until they are answered, and what was answered. */
function newWork(client: TokenClient, { issuer, admin }: ServerForClients) {
  const unanswered: { send: () => Promise<Answer>; sent: boolean }[] = [];
  const tokens = new Map<string, string>();
  const revoking = new Map<string, string>();
  const revoked = new Set<string>();
  const refused = new Set<string>();
  const made = new Set<string>();
  let requests = 0;

  let onAnswer = () => {};

  async function ask(request: (typeof unanswered)[number]): Promise<void> {
    const again = request.sent;
    request.sent = true;
    const { status, body } = await request.send();
    onAnswer();
    unanswered.splice(unanswered.indexOf(request), 1);
    if (status === 200) tokens.set(jtiIn(body), String(body.access_token));
    else
      assert.ok(
        again && status === 401,
        `${status} ${JSON.stringify(body)}: only what was spent before the end is refused`,
      );
  }

  const post = async (endpoint: string, token: string) =>
    fetch(`${issuer}/oauth2/${endpoint}`, {
      method: 'POST',
      body: new URLSearchParams({ ...(await client.form()), token }),
    });

  /** By its agent or by an administrator. */
  async function revoke([jti, token]: [string, string], n: number): Promise<void> {
    if (n % 2 === 0) await admin('POST', '/revocations', { token, reason: 'a test' });
    else {
      const response = await post('revoke', token);
      assert.equal(response.status, 200, await response.text());
    }
    onAnswer();
    revoking.delete(jti);
    revoked.add(jti);
  }

  /** Sent once: whoever is cut off doesn't know what became of it. */
  async function beRefused(): Promise<void> {
    const traceparent = `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
    const { status, body } = await client.send({ scope: 'tickets:nothing' }, { traceparent });
    onAnswer();
    assert.equal(status, 400, JSON.stringify(body));
    refused.add(traceparent);
  }

  async function change(): Promise<void> {
    const { id } = await admin<{ id: string }>('POST', '/teams', { name: `team-${randomBytes(6).toString('hex')}` });
    onAnswer();
    made.add(id);
  }

  /** Sends everything that waits, and these. Answers how much of it was cut off. */
  async function sendAll(fresh: readonly (() => Promise<void>)[] = []): Promise<number> {
    const all = [...unanswered.map(ask), ...[...revoking].map(revoke), ...fresh.map((send) => send())];
    const outcomes = await Promise.allSettled(all);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected' && outcome.reason instanceof assert.AssertionError) throw outcome.reason;
    }
    return outcomes.filter(({ status }) => status === 'rejected').length;
  }

  return {
    agent: client.clientId,
    tokens,
    revoked,
    refused,
    made,
    get requests() {
      return requests;
    },
    /**
     * Adds what is new and sends it with what waits. `underWay`: some of it, by chance none or nearly all, has been answered; `outcome`: how much
     * was cut off.
     */
    async begin(): Promise<{ underWay: Promise<unknown>; outcome: Promise<number> }> {
      const fresh = await Promise.all(Array.from({ length: requestsEach }, () => client.prepared()));
      requests += fresh.length;
      for (const send of fresh) unanswered.push({ send, sent: false });
      const alive = [...tokens].filter(([jti]) => !revoked.has(jti) && !revoking.has(jti));
      for (const [jti, token] of alive.slice(-revocationsEach)) revoking.set(jti, token);
      const others = [...Array(refusalsEach).fill(beRefused), ...Array(changesEach).fill(change)];
      let left = Math.floor(Math.random() * (unanswered.length + revoking.size + others.length));
      const some = new Promise<void>((resolve) => {
        onAnswer = () => void (left-- <= 0 && resolve());
        onAnswer();
      });
      const outcome = sendAll(others);
      outcome.catch(() => undefined);
      const underWay = Promise.race([some, outcome]);
      underWay.catch(() => undefined); // the outcome says it
      return { underWay, outcome };
    },
    /** Gets an answer to everything, and sees that what was revoked is dead and the rest alive. */
    async finish(): Promise<void> {
      assert.equal(await sendAll(), 0);
      for (const [jti, token] of tokens) {
        const { active } = (await (await post('introspect', token)).json()) as { active: boolean };
        assert.equal(active, !revoked.has(jti), 'a revocation that was acknowledged holds, and nothing else is dead');
      }
    },
  };
}

function jtiIn(body: Record<string, unknown>): string {
  const payload = String(body.access_token).split('.')[1] as string;
  return JSON.parse(Buffer.from(payload, 'base64url').toString()).jti;
}

async function eventsOf(server: ServerForClients, agent: string, type: string): Promise<string[]> {
  return (await allPages<{ jti: string }>(server, `/events?agent=${agent}&type=${type}`)).map(({ jti }) => jti);
}
