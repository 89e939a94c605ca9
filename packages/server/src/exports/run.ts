/** Keeps the exporters of the registry at work on this node. */
import type { Deps } from '../deps.ts';
import { consumerOf } from './deliver.ts';
import { consumerName, type Exporter, exportersTopic } from './exporter.ts';
import { everyExporter, findExporter } from './store.ts';

/** How often is looked whether a notice was missed, ms. */
const lookEvery = 60_000;

/**
 * Starts every exporter, and follows what becomes of them on any node. `deps.consumers` sees to it that one node delivers.
 * What is under way when it is stopped ends with `deps.consumers`.
 */
export function runExporters(deps: Deps): { stop(): Promise<void> } {
  const running = new Map<string, number>();
  let ended = false;
  let cancel = () => {};
  let looking = Promise.resolve();

  const take = (exporter: Exporter) => {
    if (ended || running.get(exporter.id) === exporter.changedAt) return;
    running.set(exporter.id, exporter.changedAt);
    deps.consumers.add(consumerOf(deps, exporter));
  };
  const leave = async (id: string) => {
    if (running.delete(id)) await deps.consumers.remove(consumerName(id));
  };
  async function look(id: string | undefined): Promise<void> {
    if (ended) return;
    if (id !== undefined) {
      const found = await findExporter(deps.db, id);
      return found ? take(found) : leave(id);
    }
    const all = await everyExporter(deps.db);
    for (const exporter of all) take(exporter);
    for (const gone of running.keys()) if (!all.some((one) => one.id === gone)) await leave(gone);
  }
  const asked = (id?: string) => {
    looking = looking
      .then(() => look(id))
      .catch((err) => deps.log.error({ err }, 'looking for exporters failed; it is tried again'));
  };
  const again = () => {
    asked();
    // once that was done: looks never pile up, however far the clock leaps
    void looking.then(() => {
      if (!ended) cancel = deps.clock.after(lookEvery, again);
    });
  };
  const stopListening = deps.db.listen(exportersTopic, asked);
  again();
  return {
    async stop() {
      ended = true;
      cancel();
      stopListening();
      await looking;
    },
  };
}
