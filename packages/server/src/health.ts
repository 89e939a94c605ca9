import type { FastifyInstance } from 'fastify';
import type { Deps } from './deps.ts';
import { signingKey } from './keys/keys.ts';
import { asOf } from './liveness/liveness.ts';
import type { CertificateSource } from './mutual-tls.ts';

/**
 * `/healthz`: the process answers. `/readyz`: it can issue, so the database answers, there is a key, and the listener for
 * mutual TLS, where there is one, has a certificate to show.
 */
export function healthRoutes(deps: Deps, certificate: CertificateSource | undefined) {
  return async (app: FastifyInstance): Promise<void> => {
    app.get('/healthz', async (_, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }));
    app.get('/readyz', async (_, reply) => {
      reply.header('cache-control', 'no-store');
      try {
        const { version } = await asOf(deps.db);
        await signingKey(deps, version, 'ES256');
        await certificate?.();
        return reply.send({ status: 'ready', ...(certificate && { mutual_tls: deps.config.mtls.url }) });
      } catch (err) {
        deps.log.error({ err }, 'not ready');
        return reply.code(503).send({ status: 'not ready' });
      }
    });
  };
}
