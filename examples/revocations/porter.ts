/** An agent at work: it calls the API again and again, until it is refused. `node ../../scripts/run.mjs porter.ts porter.json` */
import { agentFromFile, type BailiwickError } from '@bailiwick/agent';

const [file = 'porter.json', parcels = 'http://localhost:3070/parcels'] = process.argv.slice(2);

// #region work
const porter = agentFromFile(file);
let calls = 0;
for (;;) {
  const answer = await porter.fetch(parcels).catch((error: BailiwickError) => error.code);
  if (!(answer instanceof Response && answer.ok)) {
    console.log(`Refused after ${calls} calls: ${answer instanceof Response ? answer.status : answer}.`);
    break;
  }
  await answer.body?.cancel();
  if (++calls === 1) console.log('At work.');
  await new Promise((resolve) => setTimeout(resolve, 50));
}
// #endregion
