"""`python -m rhythmiq_recommender`: serves until SIGTERM."""

from __future__ import annotations

from rhythmiq_mesh.process import main
from rhythmiq_recommender.bootstrap import bootstrap
from rhythmiq_recommender.config import RecommenderSettings

if __name__ == "__main__":
    main("recommender", RecommenderSettings, bootstrap)
