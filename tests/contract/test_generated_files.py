"""What is generated from the protos is committed, and current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_stubs_and_the_edges_descriptors_are_current_and_the_protos_pass_buf_lint() -> None:
    command = [sys.executable, str(ROOT / "protos" / "generate.py"), "--check", "--lint"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
