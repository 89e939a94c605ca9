/** A guard that follows a fake feed, in a time that passes when a test says so: timers included. */
import assert from 'node:assert/strict';
import { createGuard, type Guard, type GuardOptions } from '../index.ts';
import type { Runtime } from '../runtime.ts';
import { type FakeFeed, fakeFeed } from './fake-feed.ts';
import {
  type FakeAgent,
  type FakeClock,
  type FakeIssuer,
  fakeAgent,
  fakeClock,
  fakeIssuer,
  issuer,
  quiet,
  resourceId,
} from './fake-issuer.ts';

export interface FeedWorld {
  fake: FakeIssuer;
  feed: FakeFeed;
  agent: FakeAgent;
  guard: Guard;
  problems: string[];
  /** Time passes: the wall clock, the other one, and what is due. */
  pass(ms: number): Promise<void>;
  /** The wall clock alone is set. */
  setWall(ms: number): void;
  /** Everything that can happen without time passing has happened. */
  settled(): Promise<void>;
  /** What a request with this token is answered: 200 for one that goes on. */
  status(token?: string): Promise<number>;
  token: string;
}

/** Time whose timers run when it is moved. */
function timers(clock: FakeClock) {
  let pending: { at: number; work: () => void }[] = [];
  return {
    later(ms: number, work: () => void) {
      const one = { at: clock.now() + ms, work };
      pending.push(one);
      return () => {
        pending = pending.filter((each) => each !== one);
      };
    },
    next: (until: number) => pending.filter(({ at }) => at <= until).sort((one, other) => one.at - other.at)[0],
    done(one: { at: number; work: () => void }) {
      pending = pending.filter((each) => each !== one);
      one.work();
    },
  };
}

/** @param prepare what is set up before the guard is made */
export async function feedWorld(
  options: Partial<GuardOptions> = {},
  prepare: (fake: FakeIssuer, feed: FakeFeed) => void = () => {},
): Promise<FeedWorld> {
  const steady = fakeClock(0);
  let wall = Date.UTC(2026, 10, 22, 12);
  const clock: FakeClock = { now: () => wall + steady.now(), advance: steady.advance };
  const fake = await fakeIssuer(clock);
  const time = timers(steady);
  const feed = fakeFeed({
    later: time.later,
    issuer,
    resource: resourceId,
    now: clock.now,
    key: () => fake.keys[0]!,
  });
  fake.feed = feed;
  prepare(fake, feed);
  const beat = () => {
    if (!feed.hangs) feed.beat();
    time.later(feed.heartbeatMs, beat);
  };
  beat();
  const base = quiet(fake);
  const runtime: Runtime & { problems: string[] } = {
    ...base,
    monotonic: steady.now,
    later: time.later,
    follow: (input, init) => fake.fetch(input, init),
    every(ms, work) {
      let stop = () => {};
      const again = () => {
        stop = time.later(ms, () => {
          work();
          again();
        });
      };
      again();
      return () => stop();
    },
  };
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options({ runtime, ...options }));
  const token = await agent.token({ jti: 'j-1' });
  const settled = async () => {
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    fake,
    feed,
    agent,
    guard,
    token,
    problems: base.problems,
    settled,
    async pass(ms) {
      await settled();
      const until = steady.now() + ms;
      for (let one = time.next(until); one !== undefined; one = time.next(until)) {
        steady.advance(Math.max(0, one.at - steady.now()));
        time.done(one);
        await settled();
      }
      steady.advance(until - steady.now());
      await settled();
    },
    setWall(ms) {
      wall += ms;
    },
    async status(of = token) {
      const decision = await guard.decide(await agent.request('GET', '/tickets', { token: of }));
      return decision.allowed ? 200 : decision.status;
    },
  };
}

/** The guard has its lease, and its stream is open. */
export async function following(...given: Parameters<typeof feedWorld>): Promise<FeedWorld> {
  const world = await feedWorld(...given);
  assert.equal(await world.status(), 200);
  await world.settled();
  assert.equal(world.guard.status().feed?.state, 'current');
  return world;
}

/** Who comes while nothing can be known waits a moment for the lease to come back. */
export async function late(world: FeedWorld, token?: string): Promise<number> {
  const answer = world.status(token);
  await world.pass(300);
  return answer;
}

/** How often the identity provider was asked about tokens. */
export const asked = ({ fake }: FeedWorld): number => fake.asked['/oauth2/introspect'] ?? 0;
