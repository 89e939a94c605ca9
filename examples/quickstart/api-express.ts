import { createGuard } from '@bailiwick/guard';
import { bailiwick } from '@bailiwick/guard/express';
import express from 'express';

const resource = process.env.RESOURCE ?? 'http://localhost:3000';
const guard = createGuard({ resource, credential: 'guard.json' });

// #region guard
const app = express();
app.use(bailiwick(guard));
app.get('/hello', ({ caller }, response) => {
  response.send(`Hello ${caller.agent}: this is the operation "${caller.operation}".\n`);
});
// #endregion

app.listen(Number(new URL(resource).port), () => console.log(`${resource} is guarded.`));
