/** Servers in a process of their own, to be killed: `node killable.ts <list of overrides as JSON>`. Told to start, it says a list of `{issuer, operatorFile}`. */
import { once } from 'node:events';
import { enableCompileCache, flushCompileCache } from 'node:module';
import path from 'node:path';

// as `main.ts` does; who is killed never gets to write it down by itself
enableCompileCache(path.join(import.meta.dirname, '../../../../node_modules/.cache/compiled'));
process.once('disconnect', () => process.exit());
const { start } = await import('../app.ts');
const { loadConfig } = await import('../config.ts');
flushCompileCache();

// its program is loaded by now, which is most of what a start takes
await once(process, 'message');
const said: { issuer: string; operatorFile: string }[] = [];
for (const overrides of JSON.parse(process.argv[2] as string)) {
  const { issuer, operatorFile } = await start(loadConfig({ overrides }), { algorithms: ['ES256'] });
  said.push({ issuer, operatorFile });
}
process.send?.(said);
