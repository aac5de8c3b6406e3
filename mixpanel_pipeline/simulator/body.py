"""Turns a checked request into the bytes of its answer: rows, faults in them, compression, and its end."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import BinaryIO

from isal import igzip

from mixpanel_pipeline.simulator.export_request import ExportRequest
from mixpanel_pipeline.simulator.fault_endings import ended_lines, without_end
from mixpanel_pipeline.simulator.fault_rows import odd_rows
from mixpanel_pipeline.simulator.faults import Fault
from mixpanel_pipeline.simulator.generated_days import compress
from mixpanel_pipeline.simulator.project import Project

# "gzip only if the body is larger than 1400 bytes" (openapi/export.openapi.yaml).
LARGEST_PLAIN_BODY = 1_400
CHUNK_BYTES = 1 << 18
DEFAULT_LAG_MINUTES = 60


@dataclass(frozen=True)
class Body:
    """The chunks of an answer; `dropped` means that the connection is to be cut after them."""

    chunks: Iterator[bytes]
    gzip: bool
    dropped: bool = False


def prepare_body(project: Project, request: ExportRequest, faults: list[Fault], accepts_gzip: bool) -> Body:
    """Reads as much as is needed to decide on compression; the rest is read while it is sent."""
    if not faults and accepts_gzip:
        stream = _stored_stream(project, request)
        if stream is not None:
            return Body(_chunks_of(stream), gzip=True)
    ending = next((fault for fault in faults if fault.stage == "ending"), None)
    lines = odd_rows(_lines(project, request, faults), faults, project.seed)
    force_gzip = accepts_gzip and ending is not None and ending.name == "cut_gzip"
    blocks = _blocks(ended_lines(lines, ending, gzip=accepts_gzip))
    start, length = [], 0
    while length <= LARGEST_PLAIN_BODY and (block := next(blocks, None)) is not None:
        start.append(block)
        length += len(block)
    gzip = force_gzip or (accepts_gzip and length > LARGEST_PLAIN_BODY)
    whole = chain(start, blocks)
    chunks = compress(whole) if gzip else whole
    if force_gzip:
        chunks = without_end(chunks)
    return Body(chunks, gzip, dropped=ending is not None and ending.name == "cut_stream")


def _stored_stream(project: Project, request: ExportRequest) -> BinaryIO | None:
    """One unchanged day, asked for whole, is sent as it lies on disk."""
    if request.from_date != request.to_date or request.limit is not None:
        return None
    stream = project.stream(request.from_date, request.selection)
    if stream is None:
        return None
    with igzip.IGzipFile(fileobj=stream, mode="rb") as opened:
        small = len(opened.read(LARGEST_PLAIN_BODY + 1)) <= LARGEST_PLAIN_BODY
    if small:
        stream.close()
        return None
    stream.seek(0)
    return stream


def _chunks_of(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _lines(project: Project, request: ExportRequest, faults: list[Fault]) -> Iterator[bytes]:
    lag = next((fault for fault in faults if fault.name == "materialisation_lag"), None)
    selection = request.selection
    if lag is not None:
        minutes = lag.parameters.get("minutes", DEFAULT_LAG_MINUTES)
        selection = replace(selection, lag_ms=int(minutes * 60_000))
    lines = chain.from_iterable(project.lines(day, selection) for day in request.days())
    return islice(lines, request.limit)


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines put together to chunks: sending each line alone would take longer than making it."""
    block: list[bytes] = []
    length = 0
    for line in lines:
        block.append(line)
        length += len(line)
        if length >= CHUNK_BYTES:
            yield b"".join(block)
            block, length = [], 0
    if block:
        yield b"".join(block)
