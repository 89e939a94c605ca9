/** A shop at the edge, that reserves what is ordered at a service inside: `node ../../scripts/run.mjs api.ts` */
import { createServer, type IncomingMessage } from 'node:http';
import { agentFromFile } from '@bailiwick/agent';
import { type Caller, createGuard } from '@bailiwick/guard';

const resource = 'http://localhost:3091';
const stock = 'http://localhost:3092';

// #region edge
const guard = createGuard({ resource, credential: 'shop-guard.json' });
const shop = agentFromFile('shop.json'); // serves this resource: it may exchange what it is called with

async function reserve(request: IncomingMessage, caller: Caller, item: string): Promise<Response> {
  const inside = await shop.transaction(request, {
    scope: 'orders:place',
    details: { item }, // settled for everybody behind: tctx
    context: { trace: caller.trace ?? 'none' }, // what it began in: rctx
  });
  return inside.fetch(`${stock}/reservations`, { method: 'POST' });
}
// #endregion

const server = createServer(
  guard.node(async (request, response, caller) => {
    const item = new URL(request.url ?? '', resource).searchParams.get('item') ?? 'nothing';
    const answer = await reserve(request, caller, item);
    response.writeHead(answer.status).end(await answer.text());
  }),
);
server.listen(new URL(resource).port, () => console.log(`${resource} is guarded.`));
