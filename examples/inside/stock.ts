/** A service inside of the trust domain: nothing but transactions comes in. `node ../../scripts/run.mjs stock.ts` */
import { createServer } from 'node:http';
import { createGuard } from '@bailiwick/guard';

const resource = 'http://localhost:3092';

// #region inside
const guard = createGuard({
  resource,
  credential: 'stock-guard.json',
  transactions: { trustDomain: 'localhost' },
});

const server = createServer(
  guard.node((_request, response, { subject, transaction }) => {
    const name = (spiffeId = '') => spiffeId.split('/').at(-1);
    const { tctx, requestedBy } = transaction ?? {};
    response.end(JSON.stringify({ reserved: tctx?.item, for: name(subject), saysSo: requestedBy?.map(name) }));
  }),
);
// #endregion
server.listen(new URL(resource).port, () => console.log(`${resource} is guarded.`));
