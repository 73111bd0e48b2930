"""The settings of preference training, and what the rest of a run must be like for it."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import Field

from training.sections import PreferenceMetric, Section


class PreferenceSection(Section):
    """Learning from pairs, which of two replies is better; null learns from conversations.

    beta: How much a pair counts whose replies are already far apart, beside one whose are not: a
        lower one lets the model move further from the reference.
    label_smoothing: Which share of the pairs is taken to be the wrong way round.
    length_normalised: Whether a reply's log-probability is divided by its number of tokens; beta is
        then better 2 or more.
    reference_free: Whether log-probabilities count as they are, not by how far they have moved from
        those of the model that the run starts from.
    supervised_weight: What the chosen reply's cross entropy a token is multiplied by in the loss.
    """

    beta: float = Field(0.1, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    length_normalised: bool = False
    reference_free: bool = False
    supervised_weight: float = Field(0.0, ge=0)


def check_fits(preference: PreferenceSection | None, run: Mapping[str, Any]) -> None:
    """Raise ValueError where the other sections of a run, by name, do not go with this one."""
    followed = run["validation"].best_metric if "validation" in run else "loss"
    if preference is None:
        if followed in get_args(PreferenceMetric):
            raise ValueError(
                f"is null, and validation.best_metric is {followed!r}, which is measured on pairs; "
                "add --preference.beta=0.1, or --validation.best_metric=loss"
            )
        return
    if run.get("reward") is not None:
        raise ValueError(
            "is set, and reward is too: a run has one objective; add --preference=null or "
            "--reward=null"
        )
    if followed in ("perplexity", "token_accuracy"):
        raise ValueError(
            f"is set, and validation.best_metric is {followed!r}, which is not measured on pairs; "
            "follow --validation.best_metric=loss, margin or accuracy, or add --preference=null"
        )
