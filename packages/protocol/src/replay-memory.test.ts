import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { replayMemory } from './replay-memory.ts';

const windowMs = 66_000;
const futureMs = 5_000;
const memory = (perGeneration = 100, perKey = perGeneration) =>
  replayMemory({ windowMs, futureMs, perGeneration, perKey });

test('a proof is good once; the same jti of another key is another proof', () => {
  const replay = memory();
  assert.equal(replay.spend({ jkt: 'a', jti: '1', issuedAt: 1e6 }, 1e6), 'fresh');
  assert.equal(replay.spend({ jkt: 'a', jti: '1', issuedAt: 1e6 }, 1e6 + 1), 'replayed');
  assert.equal(replay.spend({ jkt: 'b', jti: '1', issuedAt: 1e6 }, 1e6 + 1), 'fresh');
});

test('when it is full it refuses new proofs and still knows the old ones', () => {
  const replay = memory(3);
  for (const jti of ['1', '2', '3']) assert.equal(replay.spend({ jkt: 'a', jti, issuedAt: 1e6 }, 1e6), 'fresh');
  assert.equal(replay.spend({ jkt: 'a', jti: '4', issuedAt: 1e6 }, 1e6), 'full');
  assert.equal(replay.spend({ jkt: 'a', jti: '1', issuedAt: 1e6 }, 1e6), 'replayed');
  assert.equal(replay.spend({ jkt: 'a', jti: '5', issuedAt: 1e6 + windowMs }, 1e6 + windowMs), 'fresh', 'room again');
});

test('one key cannot fill it for the others', () => {
  const replay = memory(10, 2);
  assert.equal(replay.spend({ jkt: 'a', jti: '1', issuedAt: 1e6 }, 1e6), 'fresh');
  assert.equal(replay.spend({ jkt: 'a', jti: '2', issuedAt: 1e6 }, 1e6), 'fresh');
  assert.equal(replay.spend({ jkt: 'a', jti: '3', issuedAt: 1e6 }, 1e6), 'key_full');
  assert.equal(replay.spend({ jkt: 'b', jti: '3', issuedAt: 1e6 }, 1e6), 'fresh');
});

test('it holds at most two generations', () => {
  const replay = memory(50);
  for (let i = 0; i < 1000; i++) replay.spend({ jkt: `k${i % 7}`, jti: `${i}`, issuedAt: i * 1000 }, i * 1000);
  assert.ok(replay.size <= 100, `${replay.size}`);
});

test('long jtis are remembered as well as short ones', () => {
  const replay = memory();
  const jti = 'x'.repeat(200);
  assert.equal(replay.spend({ jkt: 'a', jti, issuedAt: 1e6 }, 1e6), 'fresh');
  assert.equal(replay.spend({ jkt: 'a', jti, issuedAt: 1e6 }, 1e6), 'replayed');
});

test('nothing is accepted twice, whatever the clock does and however full it is', () => {
  const step = fc.record({
    jti: fc.integer({ min: 0, max: 9 }),
    age: fc.integer({ min: -5, max: 60 }),
    move: fc.integer({ min: -90, max: 140 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const replay = memory(6, 4);
      const accepted = new Map<string, number>();
      let now = 10_000_000;
      for (const { jti, age, move } of steps) {
        now += move * 1000;
        const fromBefore = accepted.get(`${jti}`);
        // The very same proof, if it was accepted before and its time would still pass; else a new one.
        const issuedAt = fromBefore ?? now - age * 1000;
        const passesTime = now - issuedAt <= 60_000 && issuedAt - now <= futureMs;
        if (!passesTime) continue;
        const spent = replay.spend({ jkt: 'a', jti: `${jti}`, issuedAt }, now);
        if (fromBefore !== undefined) assert.notEqual(spent, 'fresh', 'a recorded proof came in again');
        if (spent === 'fresh') accepted.set(`${jti}`, issuedAt);
      }
    }),
    { numRuns: 2000 },
  );
});
