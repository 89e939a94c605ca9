// node scripts/run.mjs <file.ts> [arguments]: runs a TypeScript file of this workspace with the locked Node.js,
// in the folder in which it was called, after setting up what is missing. Like setup.mjs it has to work on any Node.js from 20 on, and without dependencies.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join, resolve } from 'node:path';
import process, { argv, env, exit, platform, stderr, stdin } from 'node:process';
import { isProgram, root, setup } from './setup.mjs';

/** Leads `@bailiwick/…` to sources instead of a built `dist`. */
const flags = ['--conditions=bailiwick-source'];
if (env.npm_lifecycle_event && platform !== 'win32') {
  flags.push(`--import=${new URL('./end-with-parent.mjs', import.meta.url).href}`);
}

/**
 * Becomes that program where Node.js can replace itself (from 23.11 on): no second process, and signals go where they
 * should. Where it can't, passes signals on and ends as the program ends.
 *
 * @param {string} file the TypeScript file: from the working directory, which stays, else from the workspace's root
 * @param {string[]} args
 */
export function run(file, args) {
  const runtime = setup();
  // what Node.js has compiled and stripped of types once it needn't again: a third of the time to start, in tests too
  env.NODE_COMPILE_CACHE ??= join(root, 'node_modules', '.cache', 'node');
  const command = [...flags, existsSync(file) ? resolve(file) : resolve(root, file), ...args];
  if (process.execve && platform !== 'win32') process.execve(runtime, [runtime, ...command], env);

  const child = spawn(runtime, command, { stdio: 'inherit' });
  child.on('error', (error) => {
    stderr.write(`Node.js could not be started (${error.message}). Try "npm run setup".\n`);
    exit(1);
  });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGHUP'));
  // a terminal sends Ctrl-C to both of us, and twice may mean more than once
  process.on('SIGINT', () => stdin.isTTY || child.kill('SIGINT'));
  child.on('exit', (code, signal) => exit(code ?? 128 + (signal ? constants.signals[signal] : 0)));
}

if (isProgram(import.meta.url)) {
  const [file, ...args] = argv.slice(2);
  if (!file) {
    stderr.write('Usage: node scripts/run.mjs <file.ts> [arguments]\n');
    exit(2);
  }
  run(file, args);
}
