import { createServer } from 'node:http';
import { createGuard } from '@bailiwick/guard';
import { bailiwick, forwardTo } from '@bailiwick/guard/mcp';

const guard = createGuard({ resource: 'http://localhost:3000/mcp', credential: 'desk-guard.json' });
const guarded = bailiwick(guard, forwardTo('http://localhost:4000/mcp'));

createServer(guarded.node).listen(3000, () => console.log('The tools are guarded.'));
