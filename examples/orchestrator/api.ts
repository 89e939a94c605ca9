/** People's mail, behind a guard that asks whose, and who is at it: `node ../../scripts/run.mjs api.ts` */
import { createServer } from 'node:http';
import { createGuard } from '@bailiwick/guard';

const resource = 'http://localhost:3085';

// #region guard
const guard = createGuard({
  resource,
  credential: 'mail-guard.json',
  // Nobody is at a mailbox of their own accord, and at most four stand in a row.
  demands: { person: true, maxDepth: 4 },
});

const server = createServer(
  guard.node((_, response, { person, operation, chain }) => {
    const actors = chain.map(({ subject }) => subject.split('/').at(-1));
    response.end(JSON.stringify({ mailbox: person, operation, actors }));
  }),
);
// #endregion
server.listen(new URL(resource).port, () => console.log(`${resource} is guarded.`));
