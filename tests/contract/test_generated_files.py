"""What is generated is committed, and current."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _check(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_stubs_and_the_edges_descriptors_are_current_and_the_protos_pass_buf_lint() -> None:
    _check("protos/generate.py", "--check", "--lint")


def test_configuration_reference_says_what_the_settings_classes_say() -> None:
    _check("scripts/configuration.py", "--check")
