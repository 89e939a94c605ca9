import { readFileSync } from 'node:fs';

/**
 * Reads a file that a setting names.
 * @throws Error with a sentence
 */
export function pem(setting: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Error(`${setting}: ${file} can't be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
