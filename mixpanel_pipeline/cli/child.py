"""Becomes another program, one that ends when it is told to: `python child.py PROGRAM ARGUMENTS`.

Dagster's servers let SIGTERM do what they found SIGINT to do. Under a shell that starts commands in the background
that is nothing: the server then survives its end, the next one shares its port, and runs go to the old code. On
Linux the child also ends when its parent is killed.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - a list, no shell
