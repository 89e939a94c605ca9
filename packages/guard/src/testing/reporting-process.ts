/** A guard that writes reports to a folder, and waits to be killed: `node reporting-process.ts <folder>`. */
import { reportWorld } from './report-world.ts';

const count = 5;
const { fake, use, tick } = await reportWorld({ reports: { directory: process.argv[2] as string } });
fake.away = new Set(['/events']);
await use(count);
await tick();
process.send?.(count);
setInterval(() => {}, 1000);
