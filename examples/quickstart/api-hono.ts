import { createGuard } from '@bailiwick/guard';
import { bailiwick } from '@bailiwick/guard/hono';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const resource = process.env.RESOURCE ?? 'http://localhost:3000';
const guard = createGuard({ resource, credential: 'guard.json' });

// #region guard
const app = new Hono();
app.use(bailiwick(guard));
app.get('/hello', (c) => {
  const caller = c.get('caller');
  return c.text(`Hello ${caller.agent}: this is the operation "${caller.operation}".\n`);
});
// #endregion

serve({ fetch: app.fetch, port: Number(new URL(resource).port) }, () => console.log(`${resource} is guarded.`));
