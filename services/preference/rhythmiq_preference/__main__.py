"""`python -m rhythmiq_preference`: serves until SIGTERM."""

from __future__ import annotations

from rhythmiq_mesh.process import main
from rhythmiq_preference.bootstrap import bootstrap
from rhythmiq_preference.config import PreferenceSettings

if __name__ == "__main__":
    main("preference", PreferenceSettings, bootstrap)
