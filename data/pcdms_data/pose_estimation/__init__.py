"""Key points of people in pictures that have none: `load_estimator(name).estimate(pixels)`."""

from pcdms_data.pose_estimation.estimators import (
    ESTIMATORS,
    PoseEstimator,
    estimator_problem,
    load_estimator,
)

__all__ = ["ESTIMATORS", "PoseEstimator", "estimator_problem", "load_estimator"]
