/** A task from both sides: `node scripts/run.mjs examples/tasks/work.ts planner.json bookkeeper.json` */
import { readFileSync } from 'node:fs';
import { agentFromFile, type BailiwickError, signTask } from '@bailiwick/agent';

const [plannerFile = 'planner.json', bookkeeperFile = 'bookkeeper.json'] = process.argv.slice(2);
const invoices = 'https://invoices.example.com';
const code = ({ code }: BailiwickError) => code;

// #region open
const planner = agentFromFile(plannerFile);
const bookkeeper = agentFromFile(bookkeeperFile);
const opened = await planner.openTask({
  agent: bookkeeper.clientId,
  workflow: 'month-end',
  step: 'collect',
  environment: 'production',
  purpose: 'Collect what was owed in October',
  resources: [{ resource: invoices, scope: 'invoices:read' }],
  lifetimeSeconds: 900,
});
// #endregion

// #region work
await bookkeeper.task(opened.id, async (task) => {
  const token = await task.token({ resource: invoices }); // task.fetch(url) does it by itself
  console.log(`At ${opened.id} it may ${token.scope}.`);
  const beyond = await task.token({ resource: invoices, scope: 'payments:write' }).catch(code);
  console.log(`More than that: ${beyond}.`);
});
// #endregion

// #region end
await opened.end();
const elsewhere = agentFromFile(bookkeeperFile); // another process of it, which holds no token yet
const late = await elsewhere.task(opened.id, (task) => task.token({ resource: invoices })).catch(code);
// #endregion
console.log(`After its end: ${late}.`);

const { issuer, client_id: clientId, jwk: key } = JSON.parse(readFileSync(plannerFile, 'utf8'));
// #region sign
const { jwt } = await signTask({
  issuer,
  clientId,
  key,
  agent: bookkeeper.clientId,
  workflow: 'month-end',
  resources: [{ resource: invoices, operations: ['GET /invoices'] }],
});
const { details } = await bookkeeper.task({ jwt }, (task) => task.token({ resource: invoices }));
// #endregion
console.log(`Signed: ${JSON.stringify(details)}.`);

// #region own
const scope = await planner.task({ workflow: 'planning', lifetimeSeconds: 300 }, async (task) => {
  const token = await task.token({ resource: issuer, scope: 'tasks:open' });
  return token.scope;
});
// #endregion
console.log(`The planner, at a task of its own: ${scope}.`);

// #region declared
const declared = { workflow: 'month-end', purpose: 'The user asked for last month' };
const read = await bookkeeper.token({ resource: invoices, scope: 'invoices:read', declared });
const pay = await bookkeeper.token({ resource: invoices, scope: 'payments:write', declared }).catch(code);
// #endregion
console.log(`By its own word: ${read.scope}; and to pay: ${typeof pay === 'string' ? pay : pay.scope}.`);
