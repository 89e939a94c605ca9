/** An agent outside: it orders at the shop, and finds no way past it. `node ../../scripts/run.mjs agent.ts` */
import { agentFromFile } from '@bailiwick/agent';

const shopper = agentFromFile('shopper.json');

const ordered = await shopper.fetch('http://localhost:3091/orders?item=tea', { method: 'POST' });
console.log(`Ordered: ${ordered.status} ${await ordered.text()}`);

// It was even given the service inside, and gets a token for it.
const past = await shopper.fetch('http://localhost:3092/reservations', { method: 'POST' });
const { detail } = (await past.json()) as { detail: string };
console.log(`Past the shop: ${past.status}. ${detail}`);
