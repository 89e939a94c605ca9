// Loaded before a program that npm starts. npm hands a SIGTERM to the shell between us, which ends without passing it
// on; the program would stay behind, nobody's child. So it takes the end of that shell for the signal.
import process from 'node:process';
import { isMainThread } from 'node:worker_threads';

const parent = process.ppid;

if (isMainThread) {
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 250);
  watch.unref();
}
