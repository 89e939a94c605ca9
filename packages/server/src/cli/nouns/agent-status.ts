import type { Api } from '../api.ts';
import { CliError } from '../errors.ts';
import { shortTime } from '../output.ts';
import type { Agent, Event } from '../registry.ts';
import { reasonOf } from './events.ts';

/** Since when, by whom and why it stands still, as far as the log is this identity's to read. */
export async function statusInWords(api: Api, { id, status }: Agent): Promise<string> {
  if (status === 'active') return status;
  try {
    const [event] = await api.list<Event>('/events', { target: id, type: `agent.${status}` }, 1);
    if (event === undefined) return status;
    const by =
      event.agent === undefined ? undefined : await api.get<Agent>(`/agents/${event.agent}`).catch(() => undefined);
    const reason = reasonOf(event);
    const since = `${status} since ${shortTime(event.at)} by ${by?.name ?? event.agent ?? 'the server'}`;
    return reason === '' ? since : `${since}: ${reason}`;
  } catch (error) {
    if (error instanceof CliError && error.reason === 'refused') return status;
    throw error;
  }
}
