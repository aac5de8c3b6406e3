/** UUIDs of version 7: they begin with the time, so that they sort by it and the database's index stays small. */

export function newId(time: number): string {
    const begin = time.toString(16).padStart(12, "0");
    // crypto.randomUUID is there on https pages only.
    const bytes = [...crypto.getRandomValues(new Uint8Array(9))];
    const random = bytes.map((byte) => (byte + 256).toString(16).slice(1)).join("");
    return `${begin.slice(0, 8)}-${begin.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(6)}`;
}
