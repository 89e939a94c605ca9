/** An agent that closes the oldest open ticket: `node agent.ts agent.json http://localhost:3000` */
import { agentFromFile } from '@bailiwick/agent';
import type { Ticket } from './tickets.ts';

const [identity = 'agent.json', api = 'http://localhost:3000'] = process.argv.slice(2);
const agent = agentFromFile(identity);

const list = await agent.fetch(`${api}/tickets`);
if (!list.ok) throw new Error(`Tickets can't be read: ${list.status} ${await list.text()}`);
const oldest = ((await list.json()) as Ticket[]).find(({ status }) => status === 'open');
if (oldest === undefined) {
  console.log('No ticket is open.');
} else {
  const closed = await agent.fetch(`${api}/tickets/${oldest.id}/close`, { method: 'POST' });
  console.log(closed.ok ? `Closed: ${oldest.title}` : `Ticket ${oldest.id} can't be closed: ${await closed.text()}`);
}
