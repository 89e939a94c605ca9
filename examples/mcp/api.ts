import { createServer } from 'node:http';
import { createGuard } from '@bailiwick/guard';
import { authInfoOf, bailiwick } from '@bailiwick/guard/mcp';
import { createMcpHandler } from '@modelcontextprotocol/server';
import { desk } from './desk.ts';

// #region guard
const guard = createGuard({ resource: 'http://localhost:3000/mcp', credential: 'desk-guard.json' });
const mcp = createMcpHandler(desk);
const guarded = bailiwick(guard, (request, caller) => mcp.fetch(request, { authInfo: authInfoOf(caller) }));

createServer(guarded.node).listen(3000, () => console.log('The tools are guarded.'));
// #endregion
