"""Records of a run outside its folder (MLflow), and the way from a record back to a stage."""

from mrcontrast.tracking.loading import load_stage
from mrcontrast.tracking.no_tracker import NoTracker, recorded, status_after
from mrcontrast.tracking.origin import origin_tags
from mrcontrast.tracking.run_metrics import RunMetrics
from mrcontrast.tracking.store import absolute_uri, artifact_location, connect, default_uri
from mrcontrast.tracking.trackers import MlflowTracker

__all__ = [
    "MlflowTracker",
    "NoTracker",
    "RunMetrics",
    "absolute_uri",
    "artifact_location",
    "connect",
    "default_uri",
    "load_stage",
    "origin_tags",
    "recorded",
    "status_after",
]
