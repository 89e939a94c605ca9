/** An API behind its guard, which follows what is revoked: `node ../../scripts/run.mjs api.ts` */
import { createServer } from 'node:http';
import { createGuard } from '@bailiwick/guard';

const resource = 'http://localhost:3070';
const guard = createGuard({ resource, credential: 'parcels-guard.json' });

const server = createServer(guard.node((_request, response) => response.end('a parcel')));
server.listen(new URL(resource).port, () => console.log(`${resource} is guarded.`));
