/** Runs the ticket API: `node api.ts guard.json http://localhost:3000` */
import { createGuard } from '@bailiwick/guard';
import { ticketApi } from './tickets.ts';

const [credential = 'guard.json', resource = 'http://localhost:3000'] = process.argv.slice(2);
const app = await ticketApi(createGuard({ resource, credential }));
await app.listen({ port: Number(new URL(resource).port), host: 'localhost' });
console.log(`The ticket API answers at ${resource}/tickets, to those who may.`);
process.once('SIGTERM', () => app.close());
