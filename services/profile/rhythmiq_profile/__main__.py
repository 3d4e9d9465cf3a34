"""`python -m rhythmiq_profile`: serves until SIGTERM."""

from __future__ import annotations

from rhythmiq_mesh.process import main
from rhythmiq_profile.bootstrap import bootstrap
from rhythmiq_profile.config import ProfileSettings

if __name__ == "__main__":
    main("profile", ProfileSettings, bootstrap)
