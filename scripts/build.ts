// node scripts/run.mjs scripts/build.ts [folder]: builds and packs the packages as they are published, into .tmp/packages
// unless another folder is named. Nothing is built beside the sources: a stale dist would otherwise be run one day.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { root } from './setup.mjs';

/** In the order of building: each needs only those before it. */
export const published = ['protocol', 'agent', 'guard', 'server'];

/**
 * Compiles a copy of every package, against the built others as a user's compiler would see them, and packs it.
 *
 * @param folder is made, or emptied
 * @returns the paths of the tarballs, by package
 * @throws Error with what the compiler or npm said
 */
export function buildPackages(folder: string): Record<string, string> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'tarballs'), { recursive: true });
  for (const file of ['tsconfig.json', 'tsconfig.build.json']) cpSync(join(root, file), join(folder, file));
  linkDependencies(folder);

  const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');
  for (const name of published) {
    const target = join(folder, 'packages', name);
    for (const file of ['package.json', 'tsconfig.build.json', 'README.md', 'src', 'bin']) {
      const source = join(root, 'packages', name, file);
      if (existsSync(source)) cpSync(source, join(target, file), { recursive: true });
    }
    cpSync(join(root, 'LICENSE'), join(target, 'LICENSE'));
    command(process.execPath, [compiler, '-p', join(target, 'tsconfig.build.json')], folder);
    writeManifest(join(target, 'package.json'));
  }
  const tarballs = join(folder, 'tarballs');
  const folders = published.map((name) => `./packages/${name}`);
  const packed = command('npm', ['pack', '--silent', '--pack-destination', tarballs, ...folders], folder)
    .trim()
    .split('\n');
  return Object.fromEntries(published.map((name, index) => [name, join(tarballs, packed[index] ?? '')]));
}

/** Third-party packages are those of the workspace; our own are the copies. */
function linkDependencies(folder: string): void {
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@bailiwick'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.') && name !== '@bailiwick') {
      symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
    }
  }
  for (const name of published) {
    symlinkSync(join(folder, 'packages', name), join(modules, '@bailiwick', name), 'junction');
  }
}

/** What only the workspace needs is left out: the way to the sources, and the tools of development. */
function writeManifest(file: string): void {
  const { devDependencies: _, ...manifest } = JSON.parse(readFileSync(file, 'utf8'));
  for (const conditions of Object.values<Record<string, string>>(manifest.exports))
    delete conditions['bailiwick-source'];
  writeFileSync(file, `${JSON.stringify(manifest, undefined, 2)}\n`);
}

function command(program: string, args: string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${error?.message ?? ''}\n${stdout}${stderr}`);
  return stdout;
}

if (import.meta.main) {
  const tarballs = buildPackages(resolve(process.argv[2] ?? join(root, '.tmp/packages')));
  for (const tarball of Object.values(tarballs)) console.log(tarball);
}
