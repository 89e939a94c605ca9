import { createServer } from 'node:http';
import { createGuard } from '@bailiwick/guard';

const resource = process.env.RESOURCE ?? 'http://localhost:3000';
const guard = createGuard({ resource, credential: 'guard.json' });

const server = createServer(
  guard.node((request, response, caller) => {
    response.end(`Hello ${caller.agent}: ${request.method} ${request.url} is the operation "${caller.operation}".\n`);
  }),
);
server.listen(new URL(resource).port, () => console.log(`${resource} is guarded.`));
