/** What must hold on the road of a token whatever happens meanwhile: races, failures, ends. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { thumbprint } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { numericDate } from '../lib/clock.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Tx } from '../store/database.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { tokenEndpoint } from './token-endpoint.ts';

interface Listed {
  items: {
    id: string;
    outcome: string;
    reason?: string;
    jti?: string;
    agent?: string;
    personal: Record<string, unknown>;
  }[];
}

/** Runs `first` once, just before the first settlement: between reading and issuing. */
function meanwhile(deps: Deps, first: () => Promise<unknown>): Deps {
  let ran = false;
  const db = {
    ...deps.db,
    async settle<Result>(work: (tx: Tx) => Promise<Result>) {
      if (!ran) {
        ran = true;
        await first();
      }
      return deps.db.settle(work);
    },
  };
  return { ...deps, db };
}

const claimsIn = (token: unknown) =>
  JSON.parse(Buffer.from(String(token).split('.')[1] as string, 'base64url').toString()) as Record<string, unknown> & {
    exp: number;
    iat: number;
    jti: string;
    rev: number;
  };

const refusal = (code: string) => (error: unknown) => error instanceof OAuthError && error.code === code;

for (const database of databases) {
  describe(`the token endpoint, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      client = await tokenClient(server);
      // remembered from now on, as it is in a server at work
      assert.equal((await client.send()).status, 200);
    });
    after(() => server.close());

    const events = (query: string) => server.admin<Listed>('GET', `/events?${query}`);

    test('a revocation and a thousand issues at once: no token with a smaller number is issued after it', async () => {
      const racer = await tokenClient(server);
      const { db } = server.deps;
      const issuedBefore = async (rev: number) => {
        const rows = await db.all<{ leaf: string }>(
          "select leaf from events where agent = ? and type = 'token.issued'",
          [racer.clientId],
        );
        const revs = rows.map(({ leaf }) => (JSON.parse(leaf) as { decided_on: { rev: number } }).decided_on.rev);
        return revs.filter((each) => each < rev).length;
      };
      const requests = await Promise.all(Array.from({ length: 1000 }, () => racer.request()));
      const suspend = async () => {
        await server.admin('POST', `/agents/${racer.clientId}/suspend`, { reason: 'a race' });
        const last = await db.get<{ rev: number }>('select max(rev) as rev from revocations where subject = ?', [
          racer.clientId,
        ]);
        const rev = last?.rev as number;
        return { rev, issued: await issuedBefore(rev) };
      };
      const answers: Promise<unknown>[] = [];
      let revoke: ReturnType<typeof suspend> | undefined;
      for (const [i, request] of requests.entries()) {
        answers.push(tokenEndpoint(server.deps, request).catch((error: unknown) => error));
        if (i === 100) revoke = suspend();
        // turn by turn, or all of them would be read before the revocation's own request is
        if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      const results = await Promise.all(answers);
      const { rev, issued } = (await revoke) as { rev: number; issued: number };
      const tokens = results.filter((result): result is { access_token: string } => !(result instanceof Error));
      assert.equal(await issuedBefore(rev), issued, 'a token with a smaller number was committed after the revocation');
      assert.equal(tokens.length, issued, 'every token that was answered stands in the log, and no other');
      for (const { access_token } of tokens) assert.ok(claimsIn(access_token).rev < rev);
      for (const result of results) {
        if (result instanceof Error) assert.ok(refusal('unauthorized_client')(result), String(result));
      }
      // and the suspension reached some of them, or this was no race
      assert.ok(tokens.length < 1000, 'the revocation came too late to race');
    });

    test('a role taken away between reading it and issuing is noticed', async () => {
      const loser = await tokenClient(server);
      const deps = meanwhile(server.deps, () =>
        server.admin('DELETE', `/agents/${loser.clientId}/roles/${loser.role}`),
      );
      await assert.rejects(tokenEndpoint(deps, await loser.request()), refusal('invalid_scope'));
    });

    const ends: [string, (client: TokenClient) => Promise<unknown>, string][] = [
      ['its agent suspended', (c) => server.admin('POST', `/agents/${c.clientId}/suspend`, {}), 'unauthorized_client'],
      ['its credential removed', (c) => server.admin('DELETE', `/credentials/${c.credential}`), 'invalid_client'],
      ['its resource retired', (c) => server.admin('POST', `/resources/${c.resource}/retire`, {}), 'invalid_target'],
      [
        'its role narrowed',
        (c) =>
          server.admin('PATCH', `/roles/${c.role}`, {
            permissions: [{ resource: c.resource, scopes: ['tickets:write'] }],
          }),
        'invalid_scope',
      ],
    ];
    for (const [what, end, code] of ends) {
      test(`${what} between reading and issuing is noticed`, async () => {
        const loser = await tokenClient(server);
        const deps = meanwhile(server.deps, () => end(loser));
        await assert.rejects(tokenEndpoint(deps, await loser.request()), refusal(code));
      });
    }

    test('what ends beside it makes nobody wait: the same request gets its token', async () => {
      const other = await tokenClient(server);
      const deps = meanwhile(server.deps, () => server.admin('POST', `/agents/${other.clientId}/suspend`, {}));
      assert.ok((await tokenEndpoint(deps, await client.request())).access_token);
    });

    test('a signature that fails burns nothing', async () => {
      const request = await client.request();
      const broken = { ...server.deps, keys: { ...server.deps.keys, rows: { get: async () => [] } } };
      await assert.rejects(tokenEndpoint(broken as unknown as Deps, request), /signing key/);
      assert.ok((await tokenEndpoint(server.deps, request)).access_token);
    });

    test('a commit that fails answers nothing and burns nothing', async () => {
      const request = await client.request();
      const db = {
        ...server.deps.db,
        settle: (work: (tx: Tx) => Promise<unknown>) =>
          server.deps.db.settle(async (tx) => {
            await work(tx);
            throw new Error('the disk is full');
          }),
      };
      await assert.rejects(tokenEndpoint({ ...server.deps, db } as Deps, request), /the disk is full/);
      assert.ok((await tokenEndpoint(server.deps, request)).access_token);
    });

    test('an error while deciding means no', async () => {
      const request = await client.request({ scope: 'tickets:write' });
      const db = {
        ...server.deps.db,
        all: async (sql: string, params: []) => {
          if (sql.includes('role_grants')) throw new Error('the roles can not be read');
          return server.deps.db.all(sql, params);
        },
      };
      await assert.rejects(tokenEndpoint({ ...server.deps, db } as unknown as Deps, request), /roles can not be read/);
    });

    test('who is always overtaken by a change is told to come again: on record, and with its proofs spent', async () => {
      const unlucky = await tokenClient(server);
      const db = {
        ...server.deps.db,
        settle: async (work: (tx: Tx) => Promise<unknown>) =>
          server.deps.db.settle(async (tx) => {
            const overtaken = { ...tx, get: async (sql: string, params: []) => overtake(tx, sql, params) };
            return work(overtaken as unknown as Tx);
          }),
      };
      // as if a revocation of this agent had been committed just before, each time
      const overtake = async (tx: Tx, sql: string, params: []) => {
        if (sql.startsWith('select rev, version from counter')) return { rev: Number.MAX_SAFE_INTEGER, version: 0 };
        if (sql.startsWith('select rev from revocations')) return { rev: Number.MAX_SAFE_INTEGER };
        return tx.get(sql, params);
      };
      const request = await unlucky.request();
      await assert.rejects(tokenEndpoint({ ...server.deps, db } as Deps, request), refusal('temporarily_unavailable'));
      const { items } = await events(`agent=${unlucky.clientId}&outcome=refused`);
      assert.equal(items.length, 1);
      await assert.rejects(tokenEndpoint(server.deps, request), refusal('invalid_client'));
    });

    test('the log names the key by its thumbprint, whatever its owner calls it', async () => {
      const named = await tokenClient(server, { kid: 'the-operators-key-honestly' });
      const { body } = await named.send();
      const { items } = await events(`jti=${claimsIn(body.access_token).jti}`);
      const { client: known } = (items[0] as unknown as { decided_on: { client: { key: string } } }).decided_on;
      assert.equal(known.key, thumbprint(named.signer.publicJwk));
    });

    test('a refusal spends the proofs and nothing else, and is on record with its reason', async () => {
      const request = await client.request({ scope: 'tickets:delete' });
      await assert.rejects(tokenEndpoint(server.deps, request), refusal('invalid_scope'));
      await assert.rejects(tokenEndpoint(server.deps, request), refusal('invalid_client'));
      const { items } = await events(`agent=${client.clientId}&outcome=refused`);
      assert.equal(items.length, 1, 'the replay is counted and not written');
      assert.match(String(items[0]?.reason), /no role of this agent gives tickets:delete/);
    });

    test('an issue is on record under the token’s own id, and what is personal can be read', async () => {
      const { body } = await client.send();
      const { jti } = claimsIn(body.access_token);
      const { items } = await events(`jti=${jti}`);
      assert.deepEqual(
        items.map(({ id, jti: named, agent }) => [id, named, agent]),
        [[`evt_${jti}`, jti, client.clientId]],
      );
      assert.equal(items[0]?.personal.owner, client.owner);
      assert.match(String(items[0]?.personal.address), /127\.0\.0\.1|::1/);
    });

    test('the credential that proved the agent shows when it did, to the hour', async () => {
      const used = await tokenClient(server);
      const lastUse = async () =>
        (await server.admin<{ last_used_at?: string }>('GET', `/credentials/${used.credential}`)).last_used_at;
      // noted after the answer, by another connection perhaps: asked for until it is there
      const noted = async (at: number) => {
        const wanted = new Date(at).toISOString();
        for (let asked = 0; asked < 500 && (await lastUse()) !== wanted; asked++);
        return assert.equal(await lastUse(), wanted);
      };
      assert.equal(await lastUse(), undefined);
      const first = server.clock.now();
      await used.send();
      await noted(first);
      server.clock.advance(30 * 60_000);
      await used.send();
      server.clock.advance(31 * 60_000);
      assert.equal(await lastUse(), new Date(first).toISOString());
      await used.send();
      await noted(server.clock.now());
    });

    test('of a credential that has an end, to the minute', async () => {
      const used = await tokenClient(server);
      const path = `/credentials/${used.credential}`;
      const lastUse = async () => (await server.admin<{ last_used_at?: string }>('GET', path)).last_used_at;
      const noted = async () => {
        const wanted = new Date(server.clock.now()).toISOString();
        await used.send();
        for (let asked = 0; asked < 500 && (await lastUse()) !== wanted; asked++);
        assert.equal(await lastUse(), wanted);
      };
      await noted();
      // as a rotation does: somebody waits to see whether the old one is still used
      await server.admin('PATCH', path, { expires_at: new Date(server.clock.now() + 3_600_000).toISOString() });
      server.clock.advance(61_000);
      await noted();
      server.clock.advance(61_000);
      await noted();
    });

    const minutes = (n: number) => new Date(server.clock.now() + n * 60_000).toISOString();
    const lifetimes: [string, () => Parameters<typeof tokenClient>[1], number][] = [
      ['ten minutes by default', () => ({}), 600],
      ['as long as its resource says', () => ({ token: { lifetime_seconds: 120 } }), 120],
      ['fifteen minutes at most', () => ({ token: { lifetime_seconds: 900 } }), 900],
      ['no longer than its agent’s limit', () => ({ agent: { limits: { token_lifetime_seconds: 60 } } }), 60],
      ['no longer than its agent', () => ({ agent: { expires_at: minutes(3) } }), 180],
      ['no longer than the credential that got it', () => ({ credential: { expires_at: minutes(4) } }), 240],
    ];
    for (const [sentence, options, seconds] of lifetimes) {
      test(`a token lives ${sentence}`, async () => {
        const each = await tokenClient(server, options());
        const { body } = await each.send();
        const { exp, iat } = claimsIn(body.access_token);
        assert.equal(exp - iat, seconds);
        assert.equal(iat, numericDate(server.clock.now()));
        assert.equal(body.expires_in, seconds);
      });
    }

    test('who asks too often is told when to come again, and served then', async () => {
      const eager = await tokenClient(server, { agent: { limits: { tokens_per_minute: 2 } } });
      const answers = [await eager.send(), await eager.send(), await eager.send()];
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 429],
      );
      server.clock.advance(31_000);
      assert.equal((await eager.send()).status, 200);
    });

    test('a second node sees at once what the first one has changed', async () => {
      const node = database === 'postgres' ? await startServer({ joins: server }) : undefined;
      const deps = node?.deps ?? server.deps;
      const agent = await tokenClient(server);
      assert.ok((await tokenEndpoint(deps, await agent.request())).access_token);
      await server.admin('POST', `/agents/${agent.clientId}/suspend`, {});
      await assert.rejects(tokenEndpoint(deps, await agent.request()), refusal('unauthorized_client'));
      await server.admin('POST', `/agents/${agent.clientId}/resume`);
      assert.ok((await tokenEndpoint(deps, await agent.request())).access_token);
      const spent = await agent.request();
      assert.ok((await tokenEndpoint(deps, spent)).access_token);
      await assert.rejects(tokenEndpoint(server.deps, spent), refusal('invalid_client'), 'spent on every node');
      await node?.close();
    });
  });
}
