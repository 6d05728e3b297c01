"""The pixel classifier that people use today: filters and a random forest."""

from __future__ import annotations

import numpy as np
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier

from napari_unetseg.data.corrections import UNSET
from napari_unetseg.geometry import Box

SIGMAS = (1, 16)  # of the filters, voxels


class Forest:
    """A random forest on intensity, edges and texture at several scales.

    Parameters
    ----------
    image
        zyx.
    trees, voxels
        How many trees, and how many labelled voxels they learn from at most.
    by_section
        Filters see one section at a time, as is right where sections are thick.
    jobs
        Trees that grow side by side; -1 takes all cores.
    """

    def __init__(
        self,
        image: np.ndarray,
        *,
        trees: int = 100,
        voxels: int = 200_000,
        by_section: bool = True,
        jobs: int = -1,
    ) -> None:
        self._image, self._by_section = image, by_section
        self._trees, self._voxels, self._jobs = trees, voxels, jobs
        self._features: dict[int, np.ndarray] = {}

    def predict(self, labels: np.ndarray, box: Box, seed: int) -> np.ndarray:
        """Learn from labelled voxels and return the classes of a box, zyx.

        Parameters
        ----------
        labels
            Class ids of the whole image, UNSET where nobody labelled.
        """
        rng = np.random.default_rng(seed)
        where = np.argwhere(labels != UNSET)
        where = where[rng.permutation(len(where))[: self._voxels]]
        where = where[np.argsort(where[:, 0], kind="stable")]
        rows = [
            self._section(int(z))[tuple(where[where[:, 0] == z][:, 1:].T)]
            for z in np.unique(where[:, 0])
        ]
        forest = RandomForestClassifier(
            self._trees, n_jobs=self._jobs, random_state=seed
        )
        forest.fit(np.concatenate(rows), labels[tuple(where.T)])
        depth, *plane = box.slices
        return np.stack(
            [
                self._answer(forest, self._section(z)[tuple(plane)])
                for z in range(depth.start, depth.stop)
            ]
        )

    @staticmethod
    def _answer(forest: RandomForestClassifier, features: np.ndarray) -> np.ndarray:
        answer = forest.predict(features.reshape(-1, features.shape[-1]))
        found: np.ndarray = answer.reshape(features.shape[:2])
        return found

    def _section(self, z: int) -> np.ndarray:
        """Return the features of a section (y, x, feature), computed once."""
        if z not in self._features and self._by_section:
            self._features[z] = self._filtered(self._image[z])
        elif z not in self._features:
            self._features = dict(enumerate(self._filtered(self._image)))
        return self._features[z]

    @staticmethod
    def _filtered(image: np.ndarray) -> np.ndarray:
        low, high = SIGMAS
        features = multiscale_basic_features(image, sigma_min=low, sigma_max=high)
        small: np.ndarray = features.astype(np.float16)
        return small
