/** What goes on beside requests: what is told goes into streams and to receivers, and sources that don't push are asked. */
import type { Deps } from '../deps.ts';
import { startPushing } from '../ssf/push.ts';
import { startTelling } from '../ssf/transmit.ts';
import { startPolling } from './poll-source.ts';

/** Begins. `stop` waits for what is under way; what was not done is done after the next start. */
export function startSignals(deps: Deps): { stop(): Promise<void> } {
  const stopTelling = startTelling(deps);
  const pushing = startPushing(deps);
  const polling = startPolling(deps);
  return {
    async stop() {
      stopTelling();
      await Promise.all([pushing.stop(), polling.stop()]);
    },
  };
}
