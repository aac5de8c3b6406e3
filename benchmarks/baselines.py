"""What the same bytes cost when next to nothing is done with them. Each runs in a process of its own."""

import gzip
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path


def seconds_to_inflate(path: Path) -> float:
    """`gzip -dc FILE | wc -l`."""
    programs = {name: shutil.which(name) or name for name in ("gzip", "wc")}
    started = time.monotonic()
    with subprocess.Popen([programs["gzip"], "-dc", str(path)], stdout=subprocess.PIPE) as inflate:
        subprocess.run([programs["wc"], "-l"], stdin=inflate.stdout, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - started


def seconds_to_parse(path: Path) -> float:
    """A Python loop of json.loads over the inflated lines."""
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.baselines", str(path)], capture_output=True, text=True, check=True
    )
    return float(finished.stdout)


def _parse(path: Path) -> float:
    started = time.monotonic()
    with gzip.open(path) as lines:
        for line in lines:
            json.loads(line)
    return time.monotonic() - started


if __name__ == "__main__":
    print(_parse(Path(sys.argv[1])))
