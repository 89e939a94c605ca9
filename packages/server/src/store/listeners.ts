/** Who in this process hears of what, by topic. */
export interface Listeners {
  /** The returned function ends it. */
  listen(topic: string, hear: (payload: string | undefined) => void): () => void;
  /** @param payload undefined where notices may have been missed */
  tell(topic: string, payload: string | undefined): void;
  /** Notices of every topic may have been missed. */
  tellAll(): void;
}

export function newListeners(): Listeners {
  const byTopic = new Map<string, Set<(payload: string | undefined) => void>>();
  return {
    listen(topic, hear) {
      const hearing = byTopic.get(topic) ?? new Set();
      byTopic.set(topic, hearing);
      hearing.add(hear);
      return () => hearing.delete(hear);
    },
    tell(topic, payload) {
      for (const hear of byTopic.get(topic) ?? []) hear(payload);
    },
    tellAll() {
      for (const hearing of byTopic.values()) for (const hear of hearing) hear(undefined);
    },
  };
}
