// Loaded before every test file. A file whose tests have ended but which leaves something open (a server that a failed hook
// didn't close, say) would hold up the whole run without a word; so it says what is open, and fails.
import process from 'node:process';
import { after } from 'node:test';

const patienceMs = 10_000;

if (process.env.NODE_TEST_CONTEXT) {
  after(() => {
    const overdue = setTimeout(() => {
      console.error(`The tests have ended, but this is still open: ${process.getActiveResourcesInfo().join(', ')}`);
      process.exit(1);
    }, patienceMs);
    overdue.unref();
  });
}
