/** Runs one piece of work per key at a time: whoever comes while it runs gets the same outcome. */
export function singleFlight<Value>(): (key: string, work: () => Promise<Value>) => Promise<Value> {
  const running = new Map<string, Promise<Value>>();
  return (key, work) => {
    const known = running.get(key);
    if (known !== undefined) return known;
    const flight = work().finally(() => running.delete(key));
    running.set(key, flight);
    return flight;
  };
}
