"""What counts as a whole export (spec section 4)."""

import gzip
from pathlib import Path

import pytest

from mixpanel_pipeline.lake.completeness import prove_complete
from mixpanel_pipeline.lake.repair import repair_lines
from mixpanel_pipeline.mixpanel.errors import IncompleteExport

EVENT = b'{"event":"a","properties":{"time":1}}'


def body(path: Path, content: bytes, *, compress: bool = False) -> Path:
    path.write_bytes(gzip.compress(content) if compress else content)
    return path


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", 0),
        (EVENT, 1),
        (EVENT + b"\n", 1),
        (EVENT + b"\n" + EVENT + b"\n", 2),
        (EVENT + b"\n\n\n" + EVENT + b"\n\n", 5),
        (EVENT * 1 + b"\r\n" + EVENT + b"\r\n", 2),
        (b'{"event":"a","properties":{"time":1,"x":"\xff"}}\n', 1),
        ('{"event":"a","properties":{"x":"\u2028"}}\n'.encode() * 3, 3),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_whole_exports(tmp_path: Path, content: bytes, lines: int, compress: bool) -> None:
    path = body(tmp_path / "export", content, compress=compress)
    complete = prove_complete(path, "gzip" if compress else "identity", "here")
    assert (complete.lines, complete.bytes) == (lines, len(content))


@pytest.mark.parametrize(
    "ending",
    [
        b"terminated early",
        b"export terminated early\n",
        b'{"error":',
        b'{"event":"a","prop',
        b"Terminated Early\n",
        b"\n<html>",
    ],
)
@pytest.mark.parametrize("before", [b"", (EVENT + b"\n") * 3, (EVENT + b"\n") * 100_000])
def test_exports_that_end_early(tmp_path: Path, before: bytes, ending: bytes) -> None:
    with pytest.raises(IncompleteExport, match="here"):
        prove_complete(body(tmp_path / "export", before + ending), "identity", "here")


@pytest.mark.parametrize("kept", [1, 10, 200, -1, -4, -8])
def test_a_cut_or_damaged_gzip_stream(tmp_path: Path, kept: int) -> None:
    whole = gzip.compress(b"".join(EVENT.replace(b"1", str(n).encode()) + b"\n" for n in range(1000)))
    (tmp_path / "cut").write_bytes(whole[:kept])
    with pytest.raises(IncompleteExport):
        prove_complete(tmp_path / "cut", "gzip", "here")
    damaged = bytearray(whole)
    damaged[-6] ^= 0xFF  # in the checksum
    (tmp_path / "damaged").write_bytes(damaged)
    with pytest.raises(IncompleteExport):
        prove_complete(tmp_path / "damaged", "gzip", "here")


def test_several_gzip_members_are_one_body(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(gzip.compress(EVENT + b"\n") + gzip.compress(EVENT + b"\n"))
    assert prove_complete(tmp_path / "export", "gzip", "here").lines == 2


def test_a_line_across_chunks_is_one_line(tmp_path: Path) -> None:
    long = b'{"event":"a","properties":{"time":1,"x":"' + b"y" * 3_000_000 + b'"}}'
    path = body(tmp_path / "export", EVENT + b"\n" + long)
    assert prove_complete(path, "identity", "here").lines == 2


def test_repair_mends_half_surrogates_and_keeps_the_rest(tmp_path: Path) -> None:
    lines = [
        EVENT,
        rb'{"event":"half","properties":{"time":1,"x":"\ud83d!","pair":"\ud83d\ude00","slash":"\\ud83d"}}',
        b'{"event":"broken","properties":{"time":1,"x":"\xff"}}',
        b"[1, 2]",
        b'{"event":"timeless","properties":{}}',
        EVENT,
    ]
    source = body(tmp_path / "export", b"\n".join(lines) + b"\n")
    result = repair_lines(source, "identity", "here", [2, 3, 4, 5], tmp_path / "mended", tmp_path / "quarantine")
    assert (result.repaired, result.quarantined) == (2, 2)
    mended = (tmp_path / "mended").read_text(encoding="utf-8").split("\n")
    assert (
        mended[0] == r'{"event":"half","properties":{"time":1,"x":"\ufffd!","pair":"\ud83d\ude00","slash":"\\ud83d"}}'
    )
    assert mended[1] == '{"event":"broken","properties":{"time":1,"x":"\ufffd"}}'
    quarantined = (tmp_path / "quarantine").read_text()
    assert "no event" in quarantined
    assert "it has no time" in quarantined


def test_an_early_end_between_events_fails_the_fetch(tmp_path: Path) -> None:
    source = body(tmp_path / "export", EVENT + b"\nterminated early\n" + EVENT + b"\n")
    with pytest.raises(IncompleteExport, match="terminated early"):
        repair_lines(source, "identity", "here", [2], tmp_path / "mended", tmp_path / "quarantine")
