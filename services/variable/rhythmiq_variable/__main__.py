"""`python -m rhythmiq_variable`: serves until SIGTERM."""

from __future__ import annotations

from rhythmiq_mesh.process import main
from rhythmiq_variable.bootstrap import bootstrap
from rhythmiq_variable.config import VariableSettings

if __name__ == "__main__":
    main("variable", VariableSettings, bootstrap)
