/** Names and texts in localStorage or sessionStorage; in memory those that the browser does not let it keep there. */

export interface Store {
    read(name: string): string | null;
    /** Without a text the name is removed. */
    write(name: string, text?: string | null): void;
    /** In order. */
    names(): string[];
    clear(): void;
}

export function openStore(kind: "localStorage" | "sessionStorage", prefix: string): Store {
    const memory = new Map<string, string>();

    // Storage that is forbidden throws when it is looked at, storage that is full when it is written to.
    function stored<Result>(use: (storage: Storage) => Result): Result | undefined {
        try {
            return use(window[kind]);
        } catch {
            return undefined;
        }
    }

    const store: Store = {
        read: (name) => memory.get(name) ?? stored((storage) => storage.getItem(prefix + name)) ?? null,
        write(name, text) {
            memory.delete(name);
            if (text) memory.set(name, text);
            stored((storage) => {
                if (text) storage.setItem(prefix + name, text);
                else storage.removeItem(prefix + name);
                memory.delete(name);
            });
        },
        names() {
            const keys = (stored(Object.keys) ?? []).filter((key) => key.startsWith(prefix));
            return [...new Set([...keys.map((key) => key.slice(prefix.length)), ...memory.keys()])].sort();
        },
        clear: () => store.names().forEach((name) => store.write(name)),
    };
    return store;
}
