/** For programs that run a server inside of themselves: examples, tests, tools. */
export { type RunningServer, start } from './app.ts';
export { type Config, ConfigError, type ConfigOverrides, loadConfig } from './config.ts';
export { type FakeClock, fakeClock } from './lib/clock.ts';
