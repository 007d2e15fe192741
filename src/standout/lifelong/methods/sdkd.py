"""SDKD: the recogniser before teaches where the object is, by factor transfer, and what it is, by soft targets.

Yang, "SDKD: saliency detection with knowledge distillation", entry of the lifelong object recognition challenge, IROS
2019. Reductions, the translators' width and the choice of what they translate are reconstructed; each is an option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from standout.lifelong.methods.method import Meeting, Method, Teacher
from standout.lifelong.network import Recognised, Recogniser
from standout.lifelong.pictures import Labelled
from standout.lifelong.translators import Paraphraser, Translator, planes
from standout.losses import factor_transfer, soft_targets
from standout.losses.numerics import check_option
from standout.losses.transfer import FT_REDUCTIONS, ST_DIRECTIONS, ST_REDUCTIONS

FT_ON = ("map", "map_logits", "features")
FT_STUDENT_INIT = ("new", "copy")
MAP_PLANES = 16
"""Half of one channel is none, so the rule of factor transfer cannot be used for a map."""


class SaliencyDistillation(Method):
    """Adds `lambda1` times factor transfer and `lambda2` times soft targets, from the second experience on.

    Parameters
    ----------
    lambda1, lambda2 : weights of the two terms, at least 0; a term of weight 0 is not computed.
    temperature, alpha : of the soft targets; their factor is 2 alpha T².
    st_reduction, st_direction : see `standout.losses.soft_targets`.
    ft_on : what is translated: the "map" after its sigmoid, the "map_logits", or the "features" they are read from.
    ft_planes : planes of a factor; by default 16 for a map, half of the channels for features.
    ft_reduction : see `standout.losses.factor_transfer`.
    ft_epochs : passes over an experience in which the paraphraser learns, at `ft_rate`.
    ft_reset : a new paraphraser in each experience, instead of going on with the old one.
    ft_student_init : the translator starts "new", or as a "copy" of the paraphraser's encoder.
    replays : adds pictures from memory to each step.

    Raises
    ------
    ValueError : an unknown option or a number out of range.
    """

    def __init__(
        self,
        *,
        lambda1: float = 1.0,
        lambda2: float = 1.0,
        temperature: float = 20.0,
        alpha: float = 0.7,
        st_reduction: str = "batchmean",
        st_direction: str = "teacher_student",
        ft_on: str = "map",
        ft_planes: int | None = None,
        ft_reduction: str = "sum",
        ft_epochs: int = 5,
        ft_rate: float = 0.1,
        ft_reset: bool = True,
        ft_student_init: str = "new",
        replays: bool = False,
    ) -> None:
        for name, value, known in (
            ("st_reduction", st_reduction, ST_REDUCTIONS),
            ("st_direction", st_direction, ST_DIRECTIONS),
            ("ft_on", ft_on, FT_ON),
            ("ft_reduction", ft_reduction, FT_REDUCTIONS),
            ("ft_student_init", ft_student_init, FT_STUDENT_INIT),
        ):
            check_option(name, value, known)
        for name, number, least in (
            ("lambda1", lambda1, 0), ("lambda2", lambda2, 0), ("alpha", alpha, 0), ("ft_epochs", ft_epochs, 0),
            ("ft_planes", 1 if ft_planes is None else ft_planes, 1),
        ):  # fmt: skip
            if not number >= least:
                raise ValueError(f"{name} must be at least {least}, not {number}")
        if not temperature > 0 or not ft_rate > 0:
            raise ValueError(f"temperature and ft_rate must be above 0, not {temperature} and {ft_rate}")
        self.lambda1, self.lambda2 = lambda1, lambda2
        self.temperature, self.alpha = temperature, alpha
        self.st_reduction, self.st_direction = st_reduction, st_direction
        self.ft_on, self.ft_planes, self.ft_reduction = ft_on, ft_planes, ft_reduction
        self.ft_epochs, self.ft_rate, self.ft_reset = ft_epochs, ft_rate, ft_reset
        self.ft_student_init = ft_student_init
        self.memory = "pictures" if replays else ""
        self.needs_map = lambda1 > 0
        self.teacher: Teacher | None = None
        self.paraphraser: Paraphraser | None = None
        self.translator: Translator | None = None

    def begin(self, network: Recogniser, meeting: Meeting) -> None:
        """Freeze the teacher, let the paraphraser learn its maps, and make a translator."""
        self.teacher = self.translator = None
        if meeting.number == 0 or not (self.lambda1 or self.lambda2):
            return
        self.teacher = Teacher(network)
        if self.lambda1:
            device = next(network.parameters()).device
            channels = self._channels(network)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(meeting.seed)
                if self.paraphraser is None or self.ft_reset:
                    self.paraphraser = Paraphraser(channels, self._planes(channels)).to(device)
                self.translator = Translator(channels, self._planes(channels)).to(device)
            self._learn_paraphraser(self.paraphraser, self.teacher, meeting)
            if self.ft_student_init == "copy":
                self.translator.load_state_dict(self.paraphraser.encoder.state_dict())

    def _channels(self, network: Recogniser) -> int:
        if self.ft_on != "features":
            return 1
        layer = network.get_submodule("cascade.detection_decoder.head")
        return layer.in_channels if isinstance(layer, nn.Conv2d) else 0

    def _planes(self, channels: int) -> int:
        if self.ft_planes is not None:
            return self.ft_planes
        return planes(channels, 0.5) if self.ft_on == "features" else MAP_PLANES

    def _learn_paraphraser(self, paraphraser: Paraphraser, teacher: Teacher, meeting: Meeting) -> None:
        """Let the autoencoder learn the teacher's signals without labels, then freeze it."""
        paraphraser.requires_grad_(True)
        optimiser = torch.optim.SGD(paraphraser.parameters(), lr=self.ft_rate, momentum=0.9, weight_decay=5e-4)
        # The teacher is frozen and the pictures are as they are: its maps, small as they are, are made once.
        maps: list[Tensor] = []
        for epoch in range(self.ft_epochs):
            made = (self.signal(teacher(batch.image)) for batch in meeting.pictures())
            for signal in maps or made:
                if epoch == 0 and self.ft_on != "features":
                    maps.append(signal)
                loss = paraphraser.reconstruction(signal)
                if bool(loss.isfinite()):
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                    optimiser.zero_grad(set_to_none=True)
        paraphraser.requires_grad_(False)

    def signal(self, found: Recognised) -> Tensor:
        """Return what is translated of what a recogniser gives."""
        signal = found.map_feature if self.ft_on == "features" else found.map_logits
        if signal is None:
            raise ValueError("factor transfer needs a recogniser that says where the object is")
        return signal.sigmoid() if self.ft_on == "map" else signal

    def learning(self) -> list[nn.Parameter]:
        """Return the translator's parameters."""
        return list(self.translator.parameters()) if self.translator else []

    def terms(self, network: Recogniser, seen: Recognised, batch: Labelled) -> dict[str, Tensor]:
        """Return `factor_transfer` and `soft_targets`."""
        if self.teacher is None:
            return {}
        taught = self.teacher(batch.image)
        terms = {}
        if self.translator is not None and self.paraphraser is not None:
            with torch.no_grad():
                factor = self.paraphraser(self.signal(taught))
            term = factor_transfer(self.translator(self.signal(seen)), factor, reduction=self.ft_reduction)
            terms["factor_transfer"] = self.lambda1 * term
        if self.lambda2:
            # Rows that came later say nothing of what was known before.
            term = soft_targets(
                seen.scores[:, : taught.scores.shape[1]],
                taught.scores,
                temperature=self.temperature,
                alpha=self.alpha,
                reduction=self.st_reduction,
                direction=self.st_direction,
            )
            terms["soft_targets"] = self.lambda2 * term
        return terms

    def end(self, network: Recogniser, meeting: Meeting) -> None:
        """Let teacher and translator go, and the paraphraser too unless the next one goes on with it."""
        self.teacher = self.translator = None
        if self.ft_reset:
            self.paraphraser = None

    def state(self) -> dict[str, Any]:
        """Return the weights of whatever is there of teacher, paraphraser and translator."""
        state: dict[str, Any] = {"teacher": self.teacher.state()} if self.teacher else {}
        for name, part in (("paraphraser", self.paraphraser), ("translator", self.translator)):
            if part is not None:
                state[name] = dict(part.state_dict())
        return state

    def load(self, state: Mapping[str, Any], network: Recogniser) -> None:
        """Take back what was there."""
        device, channels = next(network.parameters()).device, 1
        if {"paraphraser", "translator"} & set(state):
            channels = self._channels(network)
        self.teacher = Teacher.of(state["teacher"], network) if "teacher" in state else None
        self.paraphraser = self.translator = None
        if "paraphraser" in state:
            self.paraphraser = Paraphraser(channels, self._planes(channels)).to(device).requires_grad_(False)
            self.paraphraser.load_state_dict(state["paraphraser"])
        if "translator" in state:
            self.translator = Translator(channels, self._planes(channels)).to(device)
            self.translator.load_state_dict(state["translator"])
