import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { inspect } from 'node:util';
import { parseCompact } from '@bailiwick/protocol';
import { type AgentInstance, BailiwickError, enrol } from './index.ts';
import { createInstanceWorld, type InstanceWorld } from './testing/instances.ts';

const minute = 60_000;
const hour = 60 * minute;

let world: InstanceWorld;
before(async () => {
  world = await createInstanceWorld();
});
beforeEach(() => {
  world.requests.length = 0;
  world.instead = undefined;
});
after(() => world?.close());

const url = (path = '/agents') => `${world.api}/v1${path}`;
const born = async (changes: Parameters<InstanceWorld['options']>[0] = {}) =>
  enrol(await world.options({ resource: world.api, ...changes }));
const renewals = ({ id }: AgentInstance) =>
  world.requests.filter((line) => line === `POST /instances/${id}/renew`).length;
const away = () => {
  throw Object.assign(new TypeError('fetch failed'), { cause: { code: 'ECONNREFUSED' } });
};
/** The BailiwickError that this ends in. */
const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => assert.fail('it did not fail'),
    (error: unknown) => {
      assert.ok(error instanceof BailiwickError, inspect(error));
      return error;
    },
  );

suite('an instance', () => {
  test('is enrolled, and gets its first token, in one round trip', async () => {
    const instance = await born({ attributes: { zone: 'eu-1' } });
    assert.deepEqual(world.requests, ['POST /instances']);
    const response = await instance.fetch(url());
    assert.equal(response.status, 200);
    assert.deepEqual(world.requests, ['POST /instances', 'GET /admin/v1/agents']);
    assert.match(instance.id, /^ins_/);
    assert.equal(instance.clientId, world.agent.id);
    assert.ok(instance.spiffeId.startsWith('spiffe://') && instance.spiffeId.endsWith(`/${instance.id}`));
    assert.deepEqual(instance.attributes.zone, { value: 'eu-1', provenance: 'declared' });
    assert.equal(instance.expiresAt, world.server.clock.now() + hour);
    const token = parseCompact((await instance.token()).dangerouslyExposeToken()).payload;
    assert.deepEqual([token.instance, token.sub, token.client_id], [instance.id, instance.spiffeId, world.agent.id]);
    await instance.end();
  });

  test('finds APIs as every agent does, when none is named', async () => {
    const instance = await enrol(await world.options());
    assert.equal((await instance.fetch(url())).status, 200);
    assert.deepEqual(world.requests.slice(0, 2), ['POST /instances', 'HEAD /admin/v1/agents']);
    await instance.end();
  });

  test('lives as long as it was asked to, and is alone with its key', async () => {
    const [one, two] = await Promise.all([born({ lifetimeSeconds: 120 }), born()]);
    assert.equal(one.expiresAt, world.server.clock.now() + 120_000);
    assert.notEqual(one.id, two.id);
    const [a, b] = await Promise.all([one, two].map(async (each) => (await each.token()).dangerouslyExposeToken()));
    const jkts = [a, b].map((token) => (parseCompact(token as string).payload.cnf as { jkt: string }).jkt);
    assert.notEqual(jkts[0], jkts[1]);
    await Promise.all([one.end(), two.end()]);
  });

  test('shows nothing secret, however one looks', async () => {
    const secret = await world.token();
    const instance = await born({ enrolmentToken: secret });
    const token = (await instance.token()).dangerouslyExposeToken();
    const svid = await instance.jwtSvid('https://other.example');
    for (const look of [inspect(instance, { depth: 20, showHidden: true, getters: true }), JSON.stringify(instance)]) {
      for (const hidden of [secret, token, svid, 'PRIVATE', '"d"']) assert.ok(!look.includes(hidden), hidden);
      assert.ok(look.includes(instance.id));
    }
    await instance.end();
  });
});

suite('what it enrols with', () => {
  test('is taken out of the environment, once', async () => {
    process.env.BAILIWICK_ENROLMENT_TOKEN = `${await world.token()}\n`;
    process.env.BAILIWICK_ISSUER = world.server.issuer;
    try {
      const options = await world.options({ enrolmentToken: 'x' });
      const { issuer: _, enrolmentToken: __, ...bare } = options;
      const instance = await enrol(bare);
      assert.equal(process.env.BAILIWICK_ENROLMENT_TOKEN, undefined);
      assert.equal((await instance.fetch(url())).status, 200);
      assert.equal((await failureOf(enrol(bare))).code, 'bad_option');
      await instance.end();
    } finally {
      delete process.env.BAILIWICK_ENROLMENT_TOKEN;
      delete process.env.BAILIWICK_ISSUER;
    }
  });

  for (const issuer of [undefined, '', ' ']) {
    test(`goes to nobody while the issuer in the environment is ${JSON.stringify(issuer)}`, async () => {
      const { issuer: _, ...bare } = await world.options({ enrolmentToken: 'bwe_x' });
      if (issuer !== undefined) process.env.BAILIWICK_ISSUER = issuer;
      try {
        const { code, hint = '' } = await failureOf(enrol(bare));
        assert.deepEqual([code, /BAILIWICK_ISSUER/.test(hint)], ['bad_option', true]);
        assert.deepEqual(world.requests, []);
      } finally {
        delete process.env.BAILIWICK_ISSUER;
      }
    });
  }

  test("may be the agent's own key", async () => {
    const instance = await born({ clientId: world.agent.id, key: world.agent.key });
    assert.deepEqual(world.requests, ['POST /instances']);
    assert.equal((await instance.fetch(url())).status, 200);
    await instance.end();
  });

  test('works once, if it is a token', async () => {
    const enrolmentToken = await world.token();
    const instance = await born({ enrolmentToken });
    const error = await failureOf(born({ enrolmentToken }));
    assert.equal(error.code, 'invalid_client');
    assert.match(error.hint ?? '', /works once.*make a new one/);
    assert.ok(!inspect(error, { showHidden: true }).includes(enrolmentToken));
    assert.equal((await instance.fetch(url())).status, 200, 'the first is not disturbed');
    await instance.end();
  });

  test('is tried again while the server is being started', async () => {
    let tries = 0;
    world.instead = () => (++tries < 3 ? away() : undefined);
    const instance = await born();
    assert.equal(tries, 3);
    await instance.end();
  });

  test('when the answer was lost on the way: the error says so', async () => {
    let tries = 0;
    world.instead = async (to, init) => {
      if (++tries > 1) return undefined as unknown as Response;
      await fetch(to, init);
      return away();
    };
    const error = await failureOf(born());
    assert.deepEqual([error.code, tries], ['invalid_client', 2]);
    assert.match(error.hint ?? '', /answer to its first use was lost/);
  });

  const wrong: [name: string, options: object, code: string][] = [
    ['is nothing', { enrolmentToken: '' }, 'bad_option'],
    ['is two things', { enrolmentToken: 'bwe_x', file: 'agent.json' }, 'bad_option'],
    ['is no token', { enrolmentToken: 'bwe_x\r\nx: y' }, 'bad_option'],
    ['is a key of nobody', { key: { kty: 'EC' }, clientId: 'agt_x' }, 'bad_key'],
    ['is a key without an id', { key: { kty: 'EC' } }, 'bad_option'],
    ['is unknown', { enrolmentToken: `bwe_${'x'.repeat(43)}` }, 'invalid_client'],
    ['goes with an own fetch and a certificate', { enrolmentToken: 'bwe_x', binding: 'mtls' }, 'bad_option'],
    ['goes to plain http elsewhere', { enrolmentToken: 'bwe_x', issuer: 'http://id.example' }, 'insecure_url'],
  ];
  for (const [name, options, code] of wrong) {
    test(`${name}: ${code}`, async () => {
      assert.equal((await failureOf(born(options))).code, code);
    });
  }
});

suite('an answer is not believed', () => {
  type Body = Record<string, unknown> & { x509_svid: { certificate_chain: string } };
  const cases: [name: string, tamper: (body: Body) => unknown, code: string][] = [
    ['without an instance', (body) => ({ ...body, instance: undefined }), 'bad_answer'],
    ['with an id that leads elsewhere', (body) => ({ ...body, instance: '../x' }), 'bad_answer'],
    ['without a certificate', (body) => ({ ...body, x509_svid: undefined }), 'bad_answer'],
    ['with a certificate that is none', (body) => ({ ...body, x509_svid: { certificate_chain: 'x' } }), 'bad_answer'],
    ["with somebody else's certificate", (body) => ({ ...body, x509_svid: foreign.x509_svid }), 'bad_answer'],
    ['with another SPIFFE ID', (body) => ({ ...body, spiffe_id: `${body.spiffe_id}x` }), 'bad_answer'],
    ['that has ended', (body) => ({ ...body, expires_at: '2020-01-01T00:00:00Z' }), 'bad_answer'],
    ['without an end', (body) => ({ ...body, expires_at: 'never' }), 'bad_answer'],
    ['that is a list', () => [], 'bad_answer'],
  ];
  let foreign: Body;
  for (const [name, tamper, code] of cases) {
    test(`${name}: ${code}`, async () => {
      world.instead = async (to, init) => {
        const response = await fetch(to, init);
        const body = (await response.json()) as Body;
        foreign ??= body;
        return Response.json(tamper(body), { status: 201 });
      };
      if (foreign === undefined) await failureOf(born()).catch(() => {});
      assert.equal((await failureOf(born())).code, code);
    });
  }
});

suite('it renews', () => {
  test('when it is told to, by its timer', async () => {
    const instance = await born();
    const { expiresAt } = instance;
    await world.pass(30 * minute - 1);
    assert.equal(renewals(instance), 0);
    await world.pass(1);
    assert.equal(renewals(instance), 1);
    assert.equal(instance.expiresAt, expiresAt + 30 * minute);
    for (let i = 0; i < 20; i++) await world.pass(30 * minute);
    assert.equal((await instance.fetch(url())).status, 200, 'ten hours later');
    await instance.end();
  });

  test('a little early, so that many do not come at once', async () => {
    const options = { ...(await world.options({ resource: world.api })), random: () => 0.999 };
    const instance = await enrol(options);
    await world.pass(27 * minute);
    assert.equal(renewals(instance), 0);
    await world.pass(1 * minute);
    assert.equal(renewals(instance), 1);
    await instance.end();
  });

  test('under load: no call is lost, and no two renewals run at once', async () => {
    const instance = await born({ lifetimeSeconds: 300 });
    let running = 0;
    let most = 0;
    let count = 0;
    world.instead = async (to, init) => {
      if (to.pathname !== `/instances/${instance.id}/renew`) return undefined as unknown as Response;
      most = Math.max(most, ++running);
      count++;
      await world.server.deps.db.durability();
      return fetch(to, init).finally(() => running--);
    };
    const statuses: number[] = [];
    let isOver = false;
    const callers = Array.from({ length: 10 }, async () => {
      for (let call = 0; !isOver; call++) {
        statuses.push((await instance.fetch(url(), call % 2 ? {} : { scope: 'agents:read' })).status);
      }
    });
    // in steps that a request can live through
    for (let i = 1; i < 50; i++) {
      await world.pass(10_000);
      for (const wanted = statuses.length + 10; statuses.length < wanted; ) await setImmediate();
    }
    isOver = true;
    await Promise.all(callers);
    await world.quiet();
    assert.ok(statuses.length > 100, `${statuses.length} calls`);
    assert.deepEqual([...new Set(statuses)], [200]);
    assert.equal(most, 1);
    assert.equal(count, 3);
    await instance.end();
  });

  test('before a call, when the process was asleep and its timers with it', async () => {
    const instance = await born();
    await world.pass(45 * minute, 'asleep');
    assert.equal((await instance.fetch(url())).status, 200);
    await world.quiet();
    assert.equal(renewals(instance), 1);
    await world.pass(30 * minute - 5_000, 'asleep');
    await world.pass(30 * minute - 5_000, 'asleep');
    world.requests.length = 0;
    const responses = await Promise.all(Array.from({ length: 20 }, () => instance.fetch(url())));
    assert.ok(
      responses.every(({ status }) => status === 200),
      'with ten seconds to live, calls wait for the renewal',
    );
    assert.equal(renewals(instance), 1);
    await instance.end();
  });

  test('again and again while the server is away, in longer and longer intervals, and works with what it has', async () => {
    const instance = await born();
    let tries = 0;
    let isAway = true;
    const times: number[] = [];
    world.instead = (to) => {
      if (!isAway || to.pathname !== `/instances/${instance.id}/renew`) return undefined;
      tries++;
      times.push(world.server.clock.now());
      return away();
    };
    await world.pass(40 * minute);
    assert.ok(tries >= 6 && tries < 30, `${tries} tries in ten minutes`);
    const gaps = times.slice(1).map((time, i) => time - (times[i] as number));
    assert.ok((gaps[0] as number) <= 1_000 && (gaps.at(-1) as number) > 20_000, gaps.join());
    assert.equal((await instance.fetch(url())).status, 200);
    isAway = false;
    await world.pass(minute);
    assert.ok(instance.expiresAt > world.server.clock.now() + 55 * minute);
    await instance.end();
  });

  test('as long as it is let: refused for another reason than its end, it lives until that', async () => {
    const instance = await born();
    world.instead = (to) =>
      to.pathname === `/instances/${instance.id}/renew`
        ? Response.json({ error: 'unauthorized_client', error_description: 'it does not fit' }, { status: 400 })
        : undefined;
    await world.pass(59 * minute);
    assert.equal((await instance.fetch(url())).status, 200);
    assert.ok(renewals(instance) < 80, `${renewals(instance)} tries in half an hour`);
    await world.pass(minute);
    const error = await failureOf(instance.fetch(url()));
    assert.equal(error.code, 'unauthorized_client');
    assert.match(error.message, /it does not fit/);
  });

  test('with a server that is busy, or has lost its database for a moment', async () => {
    const instance = await born();
    const answers = [503, 500, 429];
    world.instead = (to) => {
      const status = to.pathname === `/instances/${instance.id}/renew` ? answers.shift() : undefined;
      return status === undefined
        ? undefined
        : Response.json({ error: 'temporarily_unavailable' }, { status, headers: { 'retry-after': '3600' } });
    };
    await world.pass(32 * minute);
    assert.deepEqual(answers, []);
    assert.ok(instance.expiresAt > world.server.clock.now() + 55 * minute);
    await instance.end();
  });
});

suite('it has ended', () => {
  const assertOver = async (instance: AgentInstance, message: RegExp) => {
    for (const work of [
      () => instance.fetch(url()),
      () => instance.token(),
      () => instance.jwtSvid('https://x.example'),
      () => instance.child({ name: 'x', allowed: [] }),
    ]) {
      const error = await failureOf(work());
      assert.equal(error.code, 'instance_ended');
      assert.match(error.message, message);
      assert.match(error.hint ?? '', /enrol again/);
    }
  };

  test('by itself: its token is refused, and it says so', async () => {
    const instance = await born();
    const token = (await instance.token()).dangerouslyExposeToken();
    assert.equal(await world.isActive(token), true);
    await instance.end();
    assert.ok(world.requests.includes(`DELETE /instances/${instance.id}`));
    await assertOver(instance, /ended by its own process/);
    assert.equal(await world.isActive(token), false);
    const before = world.requests.length;
    await instance.end();
    assert.equal(world.requests.length, before, 'again does nothing');
    await world.pass(2 * hour);
    assert.equal(renewals(instance), 0);
  });

  test('at the end of its block', async () => {
    let id = '';
    {
      await using instance = await born();
      id = instance.id;
      assert.equal((await instance.fetch(url())).status, 200);
    }
    assert.ok(world.requests.includes(`DELETE /instances/${id}`));
  });

  test('at the end of its block, though the server is away: a warning, and no error', async () => {
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
    {
      await using _instance = await born();
      world.instead = away;
    }
    const warning = await warned;
    assert.equal((warning as { code?: string }).code, 'BAILIWICK_NOT_ENDED');
    assert.match(warning.message, /ends by itself at/);
  });

  test('by an operator: it hears so at the next token that it asks for, and what to do', async () => {
    const instance = await born();
    const token = (await instance.token()).dangerouslyExposeToken();
    await world.server.admin('DELETE', `/instances/${instance.id}`);
    assert.equal(await world.isActive(token), false);
    world.requests.length = 0;
    const refused = await Promise.all([failureOf(instance.fetch(url())), failureOf(instance.fetch(url('/resources')))]);
    for (const { code, hint = '' } of refused)
      assert.deepEqual([code, /enrol again/.test(hint)], ['instance_ended', true]);
    const asked = () => world.requests.filter((line) => line.startsWith('GET /instances/')).length;
    assert.equal(asked(), 1);
    await assertOver(instance, /has ended/);
    assert.equal(asked(), 1, 'what is over is not asked for again');
    await instance.end();
  });

  test('by an operator: it hears so when it renews', async () => {
    const instance = await born();
    await world.server.admin('DELETE', `/instances/${instance.id}`);
    await world.pass(31 * minute);
    await assertOver(instance, /has ended/);
    await instance.end();
  });

  for (const [what, status, body] of [
    ['is away', 500, {}],
    ['does not believe the proof', 400, { error: 'invalid_dpop_proof' }],
    ['knows it well', 200, { instance: 'ins_1' }],
  ] as const) {
    test(`or not: its token is refused, and the server ${what} when it asks about itself`, async () => {
      const instance = await enrol(await world.options());
      world.instead = ({ pathname }) => {
        if (pathname === '/oauth2/token') return Response.json({ error: 'invalid_client' }, { status: 401 });
        return pathname === `/instances/${instance.id}` ? Response.json(body, { status }) : undefined;
      };
      assert.equal((await failureOf(instance.fetch(url()))).code, 'invalid_client');
      world.instead = undefined;
      assert.equal((await instance.fetch(url())).status, 200, 'it lives');
      await instance.end();
    });
  }

  test('since its agent was suspended meanwhile', async () => {
    const instance = await born();
    await world.server.admin('POST', `/agents/${world.agent.id}/suspend`);
    try {
      const error = await failureOf(instance.token({ scope: 'resources:read' }));
      assert.equal(error.code, 'instance_ended');
      await world.pass(31 * minute);
      await assertOver(instance, /has ended.*answered 40/);
      assert.equal(renewals(instance), 0, 'what is over is not asked for again');
    } finally {
      await world.server.admin('POST', `/agents/${world.agent.id}/resume`);
    }
    await assertOver(instance, /has ended/);
    await instance.end();
  });

  test('while the process was asleep', async () => {
    const instance = await born();
    await world.pass(61 * minute, 'asleep');
    await assertOver(instance, /has ended/);
    assert.equal(renewals(instance), 1);
  });

  test('while the process was asleep, and the server is away too: the next call asks again', async () => {
    const instance = await born();
    await world.pass(61 * minute, 'asleep');
    world.instead = away;
    assert.equal((await failureOf(instance.fetch(url()))).code, 'network');
    world.instead = undefined;
    assert.equal((await failureOf(instance.fetch(url()))).code, 'instance_ended');
  });
});

suite('a child', () => {
  test('is somebody of its own, and has no more than it was given', async () => {
    const parent = await born({ scope: 'agents:read resources:read' });
    const child = await parent.child({ name: 'researcher', allowed: [{ resource: world.api, scope: 'agents:read' }] });
    assert.notEqual(child.id, parent.id);
    assert.ok(child.expiresAt <= parent.expiresAt);
    assert.equal((await child.fetch(url())).status, 200);
    assert.equal((await child.fetch(url('/resources'))).status, 403);
    assert.equal((await parent.fetch(url('/resources'))).status, 200);
    const error = await failureOf(child.token({ resource: world.api, scope: 'resources:read' }));
    assert.equal(error.code, 'invalid_scope');
    await parent.end();
    assert.equal((await failureOf(child.fetch(url()))).code, 'instance_ended');
  });

  test('is never given what its parent lacks', async () => {
    await using parent = await born();
    const error = await failureOf(
      parent.child({ name: 'greedy', allowed: [{ resource: world.api, scope: 'keys:write' }] }),
    );
    assert.equal(error.code, 'invalid_scope');
    const narrow = await parent.child({ name: 'narrow', allowed: [{ resource: world.api, scope: 'agents:read' }] });
    const wider = narrow.child({ name: 'wider', allowed: [{ resource: world.api, scope: 'resources:read' }] });
    assert.match((await failureOf(wider)).code, /invalid_scope|unauthorized_client/);
  });

  test('renews by its own key, and ends by itself', async () => {
    await using parent = await born();
    const child = await parent.child({
      name: 'worker',
      resource: world.api,
      allowed: [{ resource: world.api, scope: ['agents:read'] }],
    });
    await world.pass(40 * minute);
    assert.ok(world.requests.includes(`POST /instances/${child.id}/renew`));
    assert.equal((await child.fetch(url())).status, 200);
    await child.end();
    assert.equal((await parent.fetch(url())).status, 200);
  });
});

suite('a JWT-SVID', () => {
  test('is for its audience, kept until shortly before its end, and asked for once however many want it', async () => {
    await using instance = await born();
    const audience = 'https://other.example';
    const svids = await Promise.all(Array.from({ length: 5 }, () => instance.jwtSvid(audience)));
    assert.equal(new Set(svids).size, 1);
    const { sub, aud } = parseCompact(svids[0] as string).payload;
    assert.deepEqual([sub, [aud].flat()], [instance.spiffeId, [audience]]);
    assert.equal(renewals(instance), 1);
    await world.pass(4 * minute);
    assert.equal(await instance.jwtSvid(audience), svids[0]);
    await world.pass(minute);
    assert.notEqual(await instance.jwtSvid(audience), svids[0]);
    assert.equal((await failureOf(instance.jwtSvid(''))).code, 'bad_option');
  });
});

test('a clock that is wrong is put right by the server', async (t) => {
  // the Date of an answer is the real one
  for (const offset of [-2 * hour, 10 * minute]) {
    const real = await createInstanceWorld({ start: Date.now() });
    t.after(() => real.close());
    const now = () => real.server.clock.now() + offset;
    await using instance = await enrol(await real.options({ resource: real.api, now }));
    assert.equal((await instance.fetch(`${real.api}/v1/agents`)).status, 200);
    await real.pass(35 * minute);
    assert.ok(real.requests.includes(`POST /instances/${instance.id}/renew`));
    assert.equal((await instance.fetch(`${real.api}/v1/agents`)).status, 200);
  }
});
