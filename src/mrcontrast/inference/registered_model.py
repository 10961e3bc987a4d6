"""The interface of a registered model in MLflow: volumes in, synthetic volumes out.

MLflow runs this file when it loads a model.
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
    """Translate volumes (N, X, Y, Z), RAS on the model's spacing, 0 outside the brain.

    A model of several sources takes them as (N, C, X, Y, Z), in its order. Files of any grid are
    the business of ``mrcontrast translate --model models:/NAME@ALIAS``.
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
        """Return synthetic volumes (N, X, Y, Z) in [0, 1], each drawn with seed 0."""
        from mrcontrast.storage.volume import Volume

        affine = np.diag([self.translator.grid.spacing_mm] * 3 + [1.0])
        count = len(self.translator.source)
        given = np.asarray(model_input, np.float32)
        given = given.reshape(len(given), count, *given.shape[-3:])
        found = [self.translator.translate([Volume(i, affine) for i in each]) for each in given]
        return np.stack([each.mean.data for each in found]).astype(np.float32)


def signature_of(folder: RunFolder) -> ModelSignature:
    """Return the signature: float32 (N, X, Y, Z), or (N, C, X, Y, Z) for C sources, in; one out."""
    axes = (-1, -1, -1, -1)
    count = len(folder.provenance["data"]["source"])
    given, made = (
        TensorSpec(np.dtype(np.float32), shape)
        for shape in ((-1, count, *axes[1:]) if count > 1 else axes, axes)
    )
    return ModelSignature(inputs=Schema([given]), outputs=Schema([made]))


def example_of(folder: RunFolder) -> np.ndarray:
    """Return an input of a run's spacing: a ball, brighter inside, small to store."""
    shape = [min(size, EXAMPLE_VOXELS) for size in folder.provenance["data"]["shape"]]
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    ball = np.where(radius < 0.9, 1.2 - radius, 0.0).astype(np.float32)
    count = len(folder.provenance["data"]["source"])
    return np.stack([ball] * count)[None] if count > 1 else ball[None]


mlflow.models.set_model(TranslationModel())
