/**
 * What `docker build -t NAME FOLDER` and `docker run … NAME` do, without containers, as far as guides use them: COPY takes only what is in
 * the folder, RUN runs in the image's, and the program gets no environment but PATH and what `-e` hands in.
 * `node docker.mjs IMAGES build|run …`
 */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process, { argv, env, execPath, exit } from 'node:process';

const [images = '', verb, ...words] = argv.slice(2);
// the image's own Node.js comes first, as in a container
const PATH = `${path.dirname(execPath)}:${env.PATH}`;

if (verb === 'build') {
  const [, name = '', folder = ''] = words;
  const image = path.join(images, name);
  mkdirSync(image, { recursive: true });
  const lines = readFileSync(path.join(folder, 'Dockerfile'), 'utf8')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n');
  for (const line of lines) {
    const [, instruction, rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (instruction === 'COPY') {
      for (const pattern of rest.split(' ').slice(0, -1)) {
        const found = globSync(pattern, { cwd: folder });
        if (found.length === 0) fail(`COPY: there is no ${pattern} in ${folder}`);
        for (const file of found) cpSync(path.join(folder, file), path.join(image, file));
      }
    }
    if (instruction === 'RUN') {
      const { status } = spawnSync('bash', ['-c', rest], { cwd: image, env: { ...env, PATH }, stdio: 'inherit' });
      if (status !== 0) fail(`RUN ${rest} ended with ${status}`);
    }
    if (instruction === 'CMD') writeFileSync(path.join(image, 'cmd.json'), rest);
  }
} else {
  const given = words.flatMap((word, at) => (words[at - 1] === '-e' ? [word] : []));
  const image = path.join(images, words.at(-1) ?? '');
  const [program, ...args] = JSON.parse(readFileSync(path.join(image, 'cmd.json'), 'utf8'));
  const handed = Object.fromEntries(
    given.map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]),
  );
  const { status } = spawnSync(program, args, { cwd: image, env: { PATH, ...handed }, stdio: 'inherit' });
  process.exitCode = status ?? 1;
}

/** @param {string} sentence */
function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  exit(1);
}
