"""`python -m rhythmiq_recommender.leanings`: learns preferences until SIGTERM."""

from __future__ import annotations

from rhythmiq_mesh.process import main
from rhythmiq_recommender.leanings.bootstrap import bootstrap
from rhythmiq_recommender.leanings.config import LeaningsSettings

if __name__ == "__main__":
    main("leanings", LeaningsSettings, bootstrap)
