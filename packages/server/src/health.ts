import type { FastifyInstance } from 'fastify';
import type { Deps } from './deps.ts';
import { signingKey } from './keys/keys.ts';
import { asOf } from './liveness/liveness.ts';
import type { CertificateSource } from './mutual-tls.ts';
import { standstillOf } from './store/standstill.ts';
import { standstillWords } from './web/standstill.ts';

/** How often the database is tried again that took no writes the last time, however often somebody asks (milliseconds). */
const tryEveryMs = 1_000;

/**
 * `/healthz`: the process answers. `/readyz`: it can issue, so the database answers and took the last write, there is a key, and the
 * listener for mutual TLS, where there is one, has a certificate to show.
 */
export function healthRoutes(deps: Deps, certificate: CertificateSource | undefined) {
  const writable = triedAtMost(deps, tryEveryMs);
  return async (app: FastifyInstance): Promise<void> => {
    app.get('/healthz', async (_, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }));
    app.get('/readyz', async (_, reply) => {
      reply.header('cache-control', 'no-store');
      try {
        const { version } = await asOf(deps.db);
        await signingKey(deps, version, 'ES256');
        await certificate?.();
        if (deps.db.standstill() !== undefined) await writable();
        return reply.send({ status: 'ready', ...(certificate && { mutual_tls: deps.config.mtls.url }) });
      } catch (err) {
        deps.log.error({ err }, 'not ready');
        const reason = standstillOf(err);
        return reply.code(503).send({ status: 'not ready', ...(reason && { reason: standstillWords[reason] }) });
      }
    });
  };
}

/**
 * Tries whether the database takes writes again, once in so many milliseconds: whoever took this server out of use for a full disk sends
 * it nothing any more by which it could notice that there is room.
 */
function triedAtMost(deps: Deps, everyMs: number): () => Promise<void> {
  let tried: { at: number; outcome: Promise<void> } | undefined;
  return () => {
    const at = deps.clock.monotonic();
    if (tried !== undefined && at - tried.at < everyMs) return tried.outcome;
    const outcome = deps.db.tryWriting().then(() => {
      tried = undefined; // a success says nothing of the next standstill
    });
    tried = { at, outcome };
    return outcome;
  };
}
