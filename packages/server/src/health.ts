import type { FastifyInstance } from 'fastify';
import type { Deps } from './deps.ts';
import { signingKey } from './keys/keys.ts';
import { asOf } from './liveness/liveness.ts';

/** `/healthz`: the process answers. `/readyz`: it can issue, so the database answers and there is a key. */
export function healthRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    app.get('/healthz', async (_, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }));
    app.get('/readyz', async (_, reply) => {
      reply.header('cache-control', 'no-store');
      try {
        const { version } = await asOf(deps.db);
        await signingKey(deps, version, 'ES256');
        return reply.send({ status: 'ready' });
      } catch (err) {
        deps.log.error({ err }, 'not ready');
        return reply.code(503).send({ status: 'not ready' });
      }
    });
  };
}
