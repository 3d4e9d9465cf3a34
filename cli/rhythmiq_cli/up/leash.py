"""Ties a process to its parent, then becomes the program: `python leash.py PARENT_PID PROGRAM ARGUMENT…`.

When the parent dies, however it does, the kernel kills the program (prctl(2), PR_SET_PDEATHSIG). It is a step of its
own, and not a function run between fork and exec, because the parent has threads. Standard library only: it is started
with -I -S.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, program = int(arguments[0]), arguments[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    # The parent may have died before the line above took effect.
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execv(program[0], program)  # noqa: S606 - this is its purpose


if __name__ == "__main__":
    main(sys.argv[1:])
