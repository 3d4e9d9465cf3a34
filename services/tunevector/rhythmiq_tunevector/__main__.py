"""`python -m rhythmiq_tunevector`: serves until SIGTERM."""

from __future__ import annotations

from rhythmiq_mesh.process import main
from rhythmiq_tunevector.bootstrap import bootstrap
from rhythmiq_tunevector.config import TuneVectorSettings

if __name__ == "__main__":
    main("tunevector", TuneVectorSettings, bootstrap)
