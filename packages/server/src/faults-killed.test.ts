/** Faults: the server is killed at any instant under load. What it acknowledged is on record, once, and what it revoked stays revoked. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { ConfigOverrides } from './config.ts';
import { databases } from './testing/harness.ts';
import { freePort, kill, spareKillable, startKillable } from './testing/killed.ts';
import { testPostgres } from './testing/postgres.ts';
import { type Answer, type ServerForClients, type TokenClient, tokenClient } from './testing/token-client.ts';

/** A start takes most of the time, and a database in a process of its own is not killed along. */
const kills = { sqlite: 100, postgres: 15 };
/** What comes in addition each time: requests, and tokens to be revoked. */
const requestsEach = 12;
const revocationsEach = 4;

for (const database of databases) {
  describe(`Faults: killed at any instant under load, on ${database}`, () => {
    test('every acknowledged decision has its event, none twice; every acknowledged revocation holds', async (t) => {
      const postgres = database === 'postgres' ? await testPostgres() : undefined;
      const data = mkdtempSync(path.join(tmpdir(), 'bailiwick-killed-'));
      const config: ConfigOverrides = {
        port: await freePort(),
        mtls: { port: 0 },
        data,
        log_level: 'silent',
        dpop: { nonce: 'optional' },
        limits: { tokens_per_minute: 1_000_000 },
        ...(postgres && { database_url: postgres.url }),
      };
      let running = await startKillable(config);
      let spare = spareKillable(config);
      const counts = { kills: 0, cut: 0, inStart: 0 };
      try {
        const client = await tokenClient(running.server);
        const work = newWork(client, running.server);
        while (counts.kills < kills[database]) {
          const load = await work.begin();
          await pause(Math.random() * 50);
          await kill(running.child);
          counts.kills++;
          if ((await load()) > 0) counts.cut++;
          if (counts.kills % 10 === 0) {
            const starting = spare.start().catch(() => undefined);
            await pause(Math.random() * 200);
            await kill(spare.child);
            counts.kills++;
            if ((await starting) === undefined) counts.inStart++;
            spare = spareKillable(config);
          }
          const next = spare.start();
          spare = spareKillable(config);
          running = await next;
        }
        assert.ok(counts.cut > counts.kills / 4, `the end came too late or too early: ${JSON.stringify(counts)}`);
        await work.finish();
        t.diagnostic(JSON.stringify(counts));

        const issued = await eventsOf(running.server, client.clientId, 'token.issued');
        assert.equal(issued.length, work.requests, 'one event for each request, whenever it was cut off');
        assert.equal(new Set(issued).size, issued.length);
        const known = new Set(issued);
        for (const jti of work.tokens.keys()) assert.ok(known.has(jti), 'a token that was answered stands in the log');
        const revoked = await eventsOf(running.server, client.clientId, 'token.revoked');
        assert.equal(new Set(revoked).size, revoked.length);
        assert.deepEqual(new Set(revoked), work.revoked);
      } finally {
        await kill(running.child);
        await kill(spare.child);
        await postgres?.drop();
        rmSync(data, { recursive: true, force: true });
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

  async function ask(request: (typeof unanswered)[number]): Promise<void> {
    const again = request.sent;
    request.sent = true;
    const { status, body } = await request.send();
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
    tokens,
    revoked,
    get requests() {
      return requests;
    },
    /** Adds what is new and sends it with what waits; the answer waits for the outcome. */
    async begin(): Promise<() => Promise<number>> {
      const fresh = await Promise.all(Array.from({ length: requestsEach }, () => client.prepared()));
      requests += fresh.length;
      for (const send of fresh) unanswered.push({ send, sent: false });
      const alive = [...tokens].filter(([jti]) => !revoked.has(jti) && !revoking.has(jti));
      for (const [jti, token] of alive.slice(-revocationsEach)) revoking.set(jti, token);
      const outcome = sendAll();
      outcome.catch(() => undefined);
      return () => outcome;
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
  const found: string[] = [];
  let cursor: string | undefined = '';
  while (cursor !== undefined) {
    const query = `agent=${agent}&type=${type}&limit=200${cursor && `&cursor=${cursor}`}`;
    const page: { items: { jti: string }[]; next_cursor?: string } = await server.admin('GET', `/events?${query}`);
    found.push(...page.items.map(({ jti }) => jti));
    cursor = page.next_cursor;
  }
  return found;
}
