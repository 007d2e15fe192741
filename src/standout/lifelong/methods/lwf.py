"""Learning without forgetting: what the recogniser before would have said of the new pictures is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from standout.lifelong.methods.method import Meeting, Method, Teacher
from standout.lifelong.network import Recognised, Recogniser
from standout.lifelong.pictures import Labelled
from standout.losses import soft_targets


class WithoutForgetting(Method):
    """Adds `weight` T² KL(teacher || student) of the scores, teacher being the recogniser before this experience.

    Z. Li, D. Hoiem, "Learning without Forgetting", ECCV 2016. Their old outputs are the teacher's classes.

    Parameters
    ----------
    temperature : T, above 0.
    weight : at least 0.

    Raises
    ------
    ValueError : a number out of range.
    """

    def __init__(self, temperature: float = 2.0, weight: float = 1.0) -> None:
        if not temperature > 0 or not weight >= 0:
            raise ValueError(f"temperature must be above 0 and weight at least 0, not {temperature} and {weight}")
        self.temperature, self.weight = temperature, weight
        self.teacher: Teacher | None = None

    def begin(self, network: Recogniser, meeting: Meeting) -> None:
        """Freeze the teacher, from the second experience on."""
        self.teacher = Teacher(network) if meeting.number and self.weight else None

    def terms(self, network: Recogniser, seen: Recognised, batch: Labelled) -> dict[str, Tensor]:
        """Return `soft_targets`."""
        if self.teacher is None:
            return {}
        taught = self.teacher(batch.image).scores
        # Rows that came later say nothing of what was known before.
        term = soft_targets(
            seen.scores[:, : taught.shape[1]], taught, temperature=self.temperature, alpha=self.weight / 2
        )
        return {"soft_targets": term}

    def end(self, network: Recogniser, meeting: Meeting) -> None:
        """Let the teacher go."""
        self.teacher = None

    def state(self) -> dict[str, Any]:
        """Return the teacher's weights."""
        return {"teacher": self.teacher.state()} if self.teacher else {}

    def load(self, state: Mapping[str, Any], network: Recogniser) -> None:
        """Take the teacher back."""
        self.teacher = Teacher.of(state["teacher"], network) if "teacher" in state else None
