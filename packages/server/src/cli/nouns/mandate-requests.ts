/** What agents ask each other for of mandates. */
import { type Api, openApi } from '../api.ts';
import { command } from '../command.ts';
import { powerInWords } from '../mandate-words.ts';
import { findAgent, namer } from '../names.ts';
import { type Style, shortTime, show, table } from '../output.ts';
import type { Agent } from '../registry.ts';

interface MandateRequest {
  id: string;
  agent: string;
  from: string;
  resources?: { resource: string; scope?: string; operations?: string[]; authorization_details?: object[] }[];
  why?: string;
  status: 'pending' | 'granted' | 'refused' | 'withdrawn' | 'expired' | 'stopped';
  mandate?: string;
  reason?: string;
  answer_by: string;
  answered_at?: string;
}

export const requests = command({
  name: 'mandates requests',
  summary: 'List what agents ask each other for: parts of mandates. Only whoever is asked grants or refuses one.',
  options: {
    agent: { value: 'AGENT', description: 'Only what this agent asks for.' },
    from: { value: 'AGENT', description: 'Only what this agent is asked for.' },
    all: { description: 'Those that were answered, withdrawn or left lately, too.' },
  },
  examples: [
    { command: 'bailiwick mandates requests', does: 'What waits for an answer' },
    { command: 'bailiwick mandates requests --from assistant --all', does: 'What one agent is asked for, and was' },
  ],
  async run(context, _args, options) {
    const api = openApi(context);
    const items = await api.list<MandateRequest>('/mandates/requests', {
      agent: await idOf(api, options.agent),
      from: await idOf(api, options.from),
      status: options.all ? undefined : 'pending',
    });
    if (context.globals.json) return show(context, { items }, () => '');
    const nameOf = namer(await api.list<Agent>('/agents').catch(() => []));
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'AGENT', value: (one) => nameOf(one.agent) },
          { title: 'ASKS', value: (one) => nameOf(one.from) },
          { title: 'FOR', value: ({ resources = [] }) => powerInWords({ resources }).join('; ') },
          { title: 'WHY', value: ({ why = '' }) => why },
          { title: 'STATUS', value: statusInWords, style: styleOf },
          { title: 'UNTIL', value: ({ answered_at, answer_by }) => shortTime(answered_at ?? answer_by) },
          { title: 'ID', value: ({ id }) => id, whole: true },
        ],
        'No requests.',
      ),
    );
  },
});

const idOf = async (api: Api, name: string | undefined) =>
  name === undefined ? undefined : (await findAgent(api, name)).id;

const statusInWords = ({ status, mandate, reason }: MandateRequest): string =>
  [status, mandate, reason].filter((part) => part !== undefined).join(' ');

const styleOf = ({ status }: MandateRequest): Style =>
  status === 'pending' ? 'yellow' : status === 'granted' ? 'green' : 'dim';
