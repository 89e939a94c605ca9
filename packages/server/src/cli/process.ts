/** The command line on the real world; importing this runs it and ends the process. */
import { systemClock } from '../lib/clock.ts';
import { processIo } from './io.ts';
import { run } from './run.ts';
import { serve } from './serve.ts';

// a reader that has enough (`| head`) closes the pipe: not our failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const argv = process.argv.slice(2);
// a server need not wait for the code of forty commands that ask servers
const commands = argv[0] === serve.name ? [serve] : (await import('./commands.ts')).commands;
const code = await run(commands, argv, processIo(systemClock.now));
// what was started is closed by now; a socket kept alive for reuse must not hold the process
process.exit(code);
