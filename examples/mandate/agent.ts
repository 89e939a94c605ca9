/** An assistant that books for a customer, and lets a scout look for them: `node ../../scripts/run.mjs agent.ts` */
import { agentFromFile, type BailiwickError } from '@bailiwick/agent';

const trips = 'http://localhost:3075/trips';

// #region act
const assistant = agentFromFile('assistant.json');
const [mandate] = await assistant.mandates();
if (mandate === undefined) throw new Error('Nobody has let it act: give it a mandate.');
const forCustomer = assistant.onBehalfOf(mandate, { scope: ['trips:read', 'trips:book'] });
const booked = await forCustomer.fetch(`${trips}?to=Vienna`, { method: 'POST' });
// #endregion
console.log(`Booked: ${await booked.text()}`);

// #region alone
const alone = await assistant.fetch(`${trips}?to=Paris`, { method: 'POST' });
const { detail } = (await alone.json()) as { detail: string };
// #endregion
console.log(`Of its own accord: ${alone.status}. ${detail}`);

// #region pass
const scout = agentFromFile('scout.json');
const part = await assistant.delegate({ mandate, to: scout.clientId, scope: ['trips:read'], lifetimeSeconds: 600 });
const looking = scout.onBehalfOf(part);
const seen = await looking.fetch(trips);
// #endregion
console.log(`Seen by the scout: ${await seen.text()}`);

// #region beyond
// looking.token({ scope: ['trips:book'] }) doesn't compile: the part has no such scope. Said all the same, it is refused.
const all = scout.onBehalfOf(part.id);
const beyond = await all.token({ resource: new URL(trips).origin, scope: ['trips:book'] }).catch(wordsOf);
// #endregion
console.log(`More than its part: ${beyond}`);

// #region work
for (let calls = 0; ; calls++) {
  const answer = await looking.fetch(trips).catch(wordsOf);
  if (!(answer instanceof Response && answer.ok)) {
    console.log(`Refused after ${calls} calls: ${answer instanceof Response ? answer.status : answer}`);
    break;
  }
  await answer.body?.cancel();
  if (calls === 0) console.log('The scout is at work.');
  await new Promise((resolve) => setTimeout(resolve, 50));
}
// #endregion

function wordsOf({ message }: BailiwickError): string {
  return message;
}
