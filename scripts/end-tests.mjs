// Loaded before every test file. A file whose tests have ended but which leaves something open (a server that a failed hook
// didn't close, say) would hold up the whole run without a word; so it says what is open, and fails.
import process from 'node:process';
import { after } from 'node:test';

const patienceMs = 10_000;

/** What the runner has yet to read of the outcome: on a busy machine that takes its time, and ends by itself. */
const reporting = ['PipeWrap', 'WriteWrap', 'SimpleWriteWrap'];

if (process.env.NODE_TEST_CONTEXT) {
  after(() => {
    const overdue = setInterval(() => {
      const open = process.getActiveResourcesInfo();
      if (open.every((resource) => reporting.includes(resource))) return;
      console.error(`The tests have ended, but this is still open: ${open.join(', ')}`);
      process.exit(1);
    }, patienceMs);
    overdue.unref();
  });
}
