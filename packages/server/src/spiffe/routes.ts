/** What verifiers fetch: our trust bundle, and the roots for those who read no bundles. Public, and the same for everybody. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Deps } from '../deps.ts';
import { asOf } from '../liveness/liveness.ts';
import { rootsPem, trustBundle } from '../svid/bundle.ts';

/** Caches on the way may keep a bundle no longer than this, since what they add to the refresh hint is what a rotation has to wait for. */
const cachedAtMostSeconds = 300;

/** A plug-in with `/spiffe/bundle` and `/spiffe/ca.pem`. @see SPIFFE Trust Domain and Bundle §5 */
export function spiffeRoutes(deps: Deps) {
  return async (app: FastifyInstance): Promise<void> => {
    const { pathname } = new URL(deps.config.issuer);
    const prefix = pathname === '/' ? '' : pathname;
    const answers = {
      '/spiffe/bundle': async (version: number) => ({
        type: 'application/json',
        body: JSON.stringify(await trustBundle(deps, version)),
      }),
      '/spiffe/ca.pem': async (version: number) => ({
        type: 'application/x-pem-file',
        body: await rootsPem(deps, version),
      }),
    };
    app.removeAllContentTypeParsers();
    app.addContentTypeParser('*', (_, __, done) => done(null));
    for (const [path, answer] of Object.entries(answers)) {
      const url = prefix + path;
      app.get(url, async (_, reply) => {
        const { version } = await asOf(deps.db);
        const { type, body } = await answer(version);
        return sendPublic(reply, type, body, Math.min(deps.config.spiffe.refresh_hint_seconds, cachedAtMostSeconds));
      });
      app.route({
        method: ['POST', 'PUT', 'PATCH', 'DELETE'],
        url,
        handler: (_, reply) => reply.code(405).header('allow', 'GET, HEAD').send(),
      });
    }
  };
}

function sendPublic(reply: FastifyReply, type: string, body: string, maxAgeSeconds: number): FastifyReply {
  return reply
    .header('content-type', type)
    .header('cache-control', `public, max-age=${maxAgeSeconds}`)
    .header('access-control-allow-origin', '*')
    .send(Buffer.from(body, 'utf8')); // text would be given a charset, which JSON has none of
}
