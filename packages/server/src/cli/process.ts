/** The command line on the real world; importing this runs it and ends the process. */
import { systemClock } from '../lib/clock.ts';
import { processIo } from './io.ts';
import { run } from './run.ts';
import { serve } from './serve.ts';

const argv = process.argv.slice(2);
// a server need not wait for the code of forty commands that ask servers
const commands = argv[0] === serve.name ? [serve] : (await import('./commands.ts')).commands;
const io = processIo(systemClock.now);
const code = await run(commands, argv, io);
// a pipe takes what fits into it, and the rest as its reader reads: what isn't handed over would end with us
await io.written();
// what was started is closed by now; a socket kept alive for reuse must not hold the process
process.exit(code);
