import { createGuard } from '@bailiwick/guard';
import { bailiwick } from '@bailiwick/guard/fastify';
import fastify from 'fastify';

const resource = process.env.RESOURCE ?? 'http://localhost:3000';
const guard = createGuard({ resource, credential: 'guard.json' });

// #region guard
const app = fastify();
await app.register(bailiwick, { guard });
app.get('/hello', ({ caller }) => `Hello ${caller.agent}: this is the operation "${caller.operation}".\n`);
// #endregion

await app.listen({ port: Number(new URL(resource).port) });
console.log(`${resource} is guarded.`);
