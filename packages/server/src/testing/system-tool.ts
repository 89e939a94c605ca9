/** Programs of the system that tests talk to: openssl, nginx. Who has them gets the test, who hasn't is told how to. */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

const packages: Readonly<Record<string, string>> = { nginx: 'nginx-light', openssl: 'openssl' };

/** Where Debian keeps what only root runs, which is not on everybody's PATH. */
const moreFolders = ['/usr/sbin', '/usr/local/sbin', '/sbin'];

/**
 * Where a program is; or, in one line, how to get it. With `BAILIWICK_TEST_NO_SKIP=1`, as `.ci/run` sets it where it can
 * install, an absent one is a failure.
 * @example
 * const nginx = systemTool('nginx');
 * test('…', { skip: 'skip' in nginx && nginx.skip }, async () => { … nginx.path … });
 * @throws Error when it is absent and nothing may be skipped
 */
export function systemTool(name: string): { path: string } | { skip: string } {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== ''), ...moreFolders];
  for (const folder of folders) {
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return { path: file };
    } catch {}
  }
  const skip = `${name} is not installed: apt-get install ${packages[name] ?? name}`;
  if (process.env.BAILIWICK_TEST_NO_SKIP === '1') throw new Error(skip);
  return { skip };
}
