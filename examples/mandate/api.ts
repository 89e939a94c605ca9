/** Trips, behind a guard that asks on whose authority they are booked: `node ../../scripts/run.mjs api.ts` */
import { createServer } from 'node:http';
import { createGuard } from '@bailiwick/guard';

const resource = 'http://localhost:3075';
const trips: { to: string; traveller: string | undefined; bookedBy: string }[] = [];

// #region guard
const guard = createGuard({
  resource,
  credential: 'trips-guard.json',
  // A trip is booked for somebody, and at most two agents may stand between them and us.
  demands: { maxDepth: 2, operations: { 'POST /trips': { person: true } } },
});

const server = createServer(
  guard.node((request, response, { person, agent, chain, operation }) => {
    const to = new URL(request.url ?? '', resource).searchParams.get('to') ?? 'nowhere';
    if (operation === 'POST /trips') trips.push({ to, traveller: person, bookedBy: agent });
    const actors = chain.map(({ subject }) => subject.split('/').at(-1));
    response.end(JSON.stringify({ trips: trips.filter(({ traveller }) => traveller === person), actors }));
  }),
);
// #endregion
server.listen(new URL(resource).port, () => console.log(`${resource} is guarded.`));
