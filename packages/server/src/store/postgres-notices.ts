/** News between nodes, by PostgreSQL's LISTEN and NOTIFY: it comes with the commit, or not at all. */
import pg from 'pg';
import { type Listeners, newListeners } from './listeners.ts';

export const noticesChannel = 'bailiwick';
export const notifyStatement = 'select pg_notify(?, ?)';

const firstPauseMs = 100;
const longestPauseMs = 5_000;

export const noticeOf = (topic: string, payload: string): string => JSON.stringify([topic, payload]);

/** One connection that listens, made with the first listener and made anew whenever it is lost. */
export function postgresNotices(
  url: string,
  onError: (error: Error) => void,
): Pick<Listeners, 'listen'> & { close(): Promise<void> } {
  const listeners = newListeners();
  let client: pg.Client | undefined;
  let started = false;
  let closed = false;
  let pause = firstPauseMs;
  let timer: NodeJS.Timeout | undefined;

  async function connect(): Promise<void> {
    const fresh = new pg.Client({ connectionString: url, application_name: 'bailiwick', keepAlive: true });
    let lost = false;
    const lose = (error?: Error) => {
      if (lost) return;
      lost = true;
      if (closed) return;
      if (error) onError(error);
      if (client === fresh) client = undefined;
      fresh.end().catch(() => undefined);
      timer = setTimeout(() => void connect(), pause).unref();
      pause = Math.min(pause * 2, longestPauseMs);
    };
    fresh.on('error', lose);
    fresh.on('end', () => lose());
    fresh.on('notification', ({ payload }) => {
      const [topic, content] = JSON.parse(payload ?? '[]') as [string, string];
      listeners.tell(topic, content);
    });
    try {
      await fresh.connect();
      if (closed) return void (await fresh.end());
      client = fresh;
      await fresh.query(`listen ${noticesChannel}`);
      pause = firstPauseMs;
      listeners.tellAll();
    } catch (error) {
      lose(error as Error);
    }
  }

  return {
    listen(topic, hear) {
      if (!started) {
        started = true;
        void connect();
      }
      return listeners.listen(topic, hear);
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      await client?.end().catch(() => undefined);
    },
  };
}
