"""The face that MLflow gives a registered model: FLAIR volumes in, T1w volumes out.

MLflow runs this file when it loads a model; weights and config are the run files that it kept.
"""

from typing import Any

import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types import Schema, TensorSpec

from mrcontrast.runs.folder import RunFolder

EXAMPLE_VOXELS = 16  # along each axis


class TranslationModel(PythonModel):
    """Translate FLAIR volumes (N, X, Y, Z), RAS on the model's spacing, 0 outside the brain.

    Files of any grid are the business of ``mrcontrast translate --model models:/NAME@ALIAS``.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Build the translator."""
        from mrcontrast.inference.from_run import from_run

        self.translator = from_run(context.artifacts["run"])

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> np.ndarray:
        """Return T1w volumes like (N, X, Y, Z), in [0, 1], each drawn with seed 0.

        Raises:
            MrcontrastError: A volume has no brain.
        """
        from mrcontrast.storage.volume import Volume

        affine = np.diag([self.translator.grid.spacing_mm] * 3 + [1.0])
        flair = np.asarray(model_input, np.float32)
        volumes = [self.translator.translate(Volume(image, affine)).mean.data for image in flair]
        return np.stack(volumes).astype(np.float32)


def signature_of() -> ModelSignature:
    """Return the signature: float32 (N, X, Y, Z) in and out."""
    volumes = TensorSpec(np.dtype(np.float32), (-1, -1, -1, -1))
    return ModelSignature(inputs=Schema([volumes]), outputs=Schema([volumes]))


def example_of(folder: RunFolder) -> np.ndarray:
    """Return a volume (1, X, Y, Z) of a run's spacing: a ball, brighter inside, small to store."""
    shape = [min(size, EXAMPLE_VOXELS) for size in folder.provenance["data"]["shape"]]
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    return np.where(radius < 0.9, 1.2 - radius, 0.0).astype(np.float32)[None]


mlflow.models.set_model(TranslationModel())
