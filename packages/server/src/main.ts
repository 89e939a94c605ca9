/** Where the process starts. */
import { enableCompileCache } from 'node:module';
import path from 'node:path';

// In a clone the sources are stripped of their types at every start, which is most of what a short command costs. Not in
// the system's temporary folder: what others can write there would run here.
if (import.meta.filename.endsWith('.ts')) {
  enableCompileCache(path.join(import.meta.dirname, '../../../node_modules/.cache/compiled'));
}
await import('./cli/process.ts');
