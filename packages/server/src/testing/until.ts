/** Waiting for what others do in their own time. */
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';

/** Far more than anything takes here, on a machine that is busy with other tests too. Milliseconds. */
const patienceMs = 90_000;

/**
 * Looks until it is so, and lets whatever else is under way have its turn in between: as often as it takes, because how far others come in
 * so many turns depends on the machine.
 * @param between done after each look in vain: the clock moved on, say
 * @returns what was seen last
 * @throws AssertionError with what was seen last, when it never came to that
 */
export async function until<Seen>(
  look: () => Seen | Promise<Seen>,
  holds: (seen: Seen) => boolean,
  between: () => unknown = () => undefined,
): Promise<Seen> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    assert.ok(performance.now() < end, `it did not come to that: ${JSON.stringify(seen)}`);
    await between();
    await setImmediate();
  }
}
