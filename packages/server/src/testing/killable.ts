/** A server in a process of its own, to be killed: `node killable.ts <overrides as JSON>`; says `{issuer, operatorFile}`. */
import { start } from '../app.ts';
import { loadConfig } from '../config.ts';

const running = await start(loadConfig({ overrides: JSON.parse(process.argv[2] as string) }), {
  algorithms: ['ES256'],
});
process.send?.({ issuer: running.issuer, operatorFile: running.operatorFile });
