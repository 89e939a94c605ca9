/** Faults: the server is killed at any instant under load. What it acknowledged is on record, once, and what it revoked stays revoked. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { databases } from './testing/harness.ts';
import { killableServers } from './testing/killed.ts';
import { allPages } from './testing/pages.ts';
import { type Answer, type ServerForClients, type TokenClient, tokenClient } from './testing/token-client.ts';

/** Each with its own data, in one process: to load the program takes most of the time, and every death of it is one of each. */
const together = { sqlite: 4, postgres: 1 };
/** Deaths in all. On the oldest Node.js fewer; and a database in a process of its own is not killed along. */
const kills = { sqlite: Number(process.versions.node.split('.')[0]) > 24 ? 100 : 20, postgres: 15 };
/** What comes in addition each time: requests, and tokens to be revoked. */
const requestsEach = 12;
const revocationsEach = 4;

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
        const revoked = await eventsOf(server, work.agent, 'token.revoked');
        assert.equal(new Set(revoked).size, revoked.length);
        assert.deepEqual(new Set(revoked), work.revoked);
      }
    });
  });
}

/** Requests and revocations that are sent until they are answered, and what was answered. */
function newWork(client: TokenClient, { issuer }: ServerForClients) {
  const unanswered: { send: () => Promise<Answer>; sent: boolean }[] = [];
  const tokens = new Map<string, string>();
  const revoking = new Map<string, string>();
  const revoked = new Set<string>();
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

  async function revoke([jti, token]: [string, string]): Promise<void> {
    const response = await post('revoke', token);
    onAnswer();
    assert.equal(response.status, 200, await response.text());
    revoking.delete(jti);
    revoked.add(jti);
  }

  /** Sends everything that waits. Answers how much of it was cut off. */
  async function sendAll(): Promise<number> {
    const all = [...unanswered.map(ask), ...[...revoking].map(revoke)];
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
      let left = Math.floor(Math.random() * (unanswered.length + revoking.size));
      const some = new Promise<void>((resolve) => {
        onAnswer = () => void (left-- <= 0 && resolve());
        onAnswer();
      });
      const outcome = sendAll();
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
