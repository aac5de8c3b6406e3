"""A process that sends batches over so many connections, each its next as soon as the last is answered, and prints one
JSON object. Plain sockets in asyncio, and a body that is text put together: no client library costs as little."""

import argparse
import asyncio
import json
import time
from urllib.parse import urlsplit

from benchmarks.collector_traffic import Traffic

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"


async def keep_sending(
    host: str, port: int, key: str, traffic: Traffic, batch: int, until: float, seconds: list[float]
) -> int:
    """One connection; the events that were accepted."""
    reader, writer = await asyncio.open_connection(host, port)
    accepted = 0
    while time.perf_counter() < until:
        body = f'{{"write_key":"{key}","events":[{",".join(traffic.events(batch))}]}}'.encode()
        began = time.perf_counter()
        writer.write(
            f"POST /v1/batch HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        seconds.append(time.perf_counter() - began)
        if answer.get("accepted") != batch:
            raise RuntimeError(f"expected {batch} events to be accepted, got {head.splitlines()[0]!r} {answer}")
        accepted += batch
    writer.close()
    return accepted


async def send(url: str, key: str, batch: int, connections: int, for_seconds: float) -> dict[str, float]:
    """All connections at once."""
    place = urlsplit(url)
    traffic, seconds = Traffic(), []
    began, used = time.perf_counter(), time.process_time()
    accepted = await asyncio.gather(*(
        keep_sending(
            str(place.hostname), int(place.port or 80), key, traffic, batch, began + for_seconds, seconds
        )
        for _ in range(connections)
    ))  # fmt: skip
    took = time.perf_counter() - began
    seconds.sort()
    of = {f"p{percent}": seconds[min(len(seconds) - 1, len(seconds) * percent // 100)] for percent in (50, 95, 99)}
    return {
        "accepted": sum(accepted),
        "seconds": took,
        "requests": len(seconds),
        "processor": (time.process_time() - used) / took,
        **of,
    }


def main() -> None:
    """Called by benchmarks.collector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(send(given.url, given.key, given.batch, given.connections, given.seconds))))


if __name__ == "__main__":
    main()
