"""The settings of training by rewards: the prompts, what replies are worth, the size of a step."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from training.sections import Section


class RewardParts(Section):
    """How much each part counts; a reward is the weighted mean of those that a prompt can have.

    exact_match: 1 where the calls, in any order, are the ones wanted.
    name: 1 where the calls are of the tools wanted.
    argument_precision: The share of the given arguments that are right.
    argument_recall: The share of the wanted arguments that are given right.
    valid_schema: 1 where calls are made, and all fit the schemas of the tools offered.
    irrelevance: 1 for a text where no call is wanted: an answer, a refusal, a question.
    words: How many words a text has in common with the recorded one (F1), where no call is wanted
        or after the last call of an episode.
    reached: The share of the wanted results that the calls gave when they were executed, over the
        needless ones too; of prompts whose tools all run.
    function: What the function of reward.function returned, which need not lie between 0 and 1.
    """

    exact_match: float = Field(1.0, ge=0)
    name: float = Field(0.2, ge=0)
    argument_precision: float = Field(0.2, ge=0)
    argument_recall: float = Field(0.2, ge=0)
    valid_schema: float = Field(0.1, ge=0)
    irrelevance: float = Field(1.0, ge=0)
    words: float = Field(0.3, ge=0)
    reached: float = Field(0.0, ge=0)
    function: float = Field(1.0, ge=0)


class RewardSection(Section):
    """Replies of the weights in training, judged; better ones than their group become likelier.

    prompts_file: Conversations whose turns are replied to, in one file or several with commas
        between. Those of the train split of data.dataset_dir are taken, and no others.
    prompts: At most so many turns, drawn by `seed`; null takes all.
    tools_file: A Python file of tools that run, beside the built-in ones; it is executed.
    function: A reward of your own, FILE.py:NAME, which docs/rewards.md describes; it is executed.
    group_size: How many replies are drawn to a prompt, and compared with one another; a step takes
        training.batch_size prompts.
    turns: How often the model may speak in an episode; above 1 its calls are executed, and it sees
        the results.
    max_new_tokens: The most tokens of one reply; one that is cut off earns nothing.
    episode_tokens: The most tokens that the model may write in an episode; null is no limit but
        those of `turns` and `max_new_tokens`.
    temperature: What replies are drawn at, and what their probabilities are taken at.
    batch_size: How many replies each device writes at once.
    updates: How many steps are taken on the replies of one draw.
    clip: How far a token's probability may move from that at its draw before it teaches no more:
        down to 1 - clip times that.
    clip_above: The same upwards, to 1 + clip_above times; null takes clip.
    kl: The weight of the distance from the base, which is the model with its adapter off.
    scale: Whether advantages are divided by the standard deviation of their group.
    """

    prompts_file: str
    prompts: int | None = Field(None, ge=1)
    tools_file: str | None = None
    parts: RewardParts = Field(default_factory=RewardParts)
    function: str | None = None
    group_size: int = 8
    turns: int = Field(1, ge=1)
    max_new_tokens: int = Field(256, ge=1)
    episode_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, gt=0)
    batch_size: int = Field(64, ge=1)
    updates: int = Field(1, ge=1)
    clip: float = Field(0.2, gt=0, lt=1)
    clip_above: float | None = Field(None, gt=0)
    kl: float = Field(0.0, ge=0)
    scale: bool = True

    @field_validator("group_size")
    @classmethod
    def _compares(cls, value: int) -> int:
        if value < 2:
            raise ValueError(
                f"is {value}, and a reply is compared with the others to its prompt: a group of "
                "one teaches nothing; give --reward.group_size=8"
            )
        return value

    @model_validator(mode="after")
    def _judges(self) -> Self:
        weights = self.parts.model_dump()
        if self.function is None:
            del weights["function"]
        if not any(weights.values()):
            raise ValueError(
                "every part has the weight 0, so no reply is better than another; give "
                "--reward.parts.exact_match=1, or --reward.function=FILE.py:NAME"
            )
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each part that counts."""
        found: dict[str, float] = self.parts.model_dump()
        if self.function is None:
            del found["function"]
        return {name: weight for name, weight in found.items() if weight}


def check_trainable(reward: RewardSection, run: Mapping[str, Any]) -> None:
    """Raise ValueError where the other sections of a run, by name, cannot be trained by rewards."""
    lora, training, optimizer = (run.get(name) for name in ("lora", "training", "optimizer"))
    adapter_dir = run["model"].adapter_dir if "model" in run else None
    if lora is None and reward.kl:
        raise ValueError(
            f"kl is {reward.kl}, and lora is null: the base is the model with its adapter off, and "
            "there is none; add --reward.kl=0, or --lora.rank=16"
        )
    if adapter_dir is not None and reward.kl:
        raise ValueError(
            f"kl is {reward.kl}, and model.adapter_dir is trained further: the base is the model "
            "with its adapter off, and not what the run starts from; add --reward.kl=0, or merge "
            "the adapter first (scripts/convert_lora_weights.py) and train a new one on it"
        )
    if lora is not None and lora.dropout:
        raise ValueError(
            f"lora.dropout is {lora.dropout}: weights are dropped in training and not where "
            "replies are drawn, so their probabilities would differ; add --lora.dropout=0"
        )
    if training is not None and training.max_tokens is not None:
        raise ValueError(
            f"training.max_tokens is {training.max_tokens}, and how many tokens a step has is "
            "known when they are drawn; add --training.max_tokens=null --training.max_steps=100"
        )
    if training is not None and reward.max_new_tokens >= training.micro_batch_tokens:
        raise ValueError(
            f"max_new_tokens is {reward.max_new_tokens}, and training.micro_batch_tokens "
            f"{training.micro_batch_tokens} holds a prompt with its reply; raise the latter"
        )
    if optimizer is not None and optimizer.in_backward:
        raise ValueError(
            "optimizer.in_backward is true, which takes one micro-batch a step, and how many there "
            "are is known when replies are drawn; add --optimizer.in_backward=false"
        )
