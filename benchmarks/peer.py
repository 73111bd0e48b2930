"""The other side: Transformers and PEFT as people run them, on the same weights and conversations.

`padded` is the usual loop: four conversations padded to the longest, an attention mask, labels of
-100 where nothing is trained, the model's own loss. `best` is what a careful user can reach by
hand: one conversation at a time, so nothing is padded, and logits of trained positions only.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.ours import ADAPTER, CLIP_NORM, LEARNING_RATE, Optimizer, Ours, Step, round_base
from data.batches import Batches
from model.config import ModelConfig, RopeScaling
from model.lora.adapter import adapter_state
from model.transformer import Transformer
from weights.hugging_face.names import Reorder, half_split, interleave, reordered, to_hugging_face
from weights.table import weights

PADDED_BATCH = 4
IGNORED = -100
_SIDES = {"lora_a": "lora_A", "lora_b": "lora_B"}


def hugging_face_base(base: Transformer) -> Any:
    """Return Transformers' Llama with the weights of `base`, on its device, in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    weight = base.tok_embeddings.weight
    with torch.device(weight.device):
        model = LlamaForCausalLM(LlamaConfig(**_settings(base.config)))
    state = dict(to_hugging_face(base.config, base.state_dict()))
    own = dict(model.named_parameters())
    assert own.keys() == state.keys(), own.keys() ^ state.keys()
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state.pop(name))
    return model


def _settings(config: ModelConfig) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if isinstance(scaling := config.rope_scaling, RopeScaling):
        rope |= {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_frequency_factor,
            "high_freq_factor": scaling.high_frequency_factor,
            "original_max_position_embeddings": scaling.original_length,
        }
    return {
        "hidden_size": config.dim,
        "intermediate_size": config.hidden_dim,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": rope,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": config.tied_embeddings,
        "use_cache": False,
    }


class TransformersPeft:
    """Transformers' Llama with PEFT's LoRA, starting from our base and our adapter."""

    def __init__(self, base: Any, ours: Ours, mode: str) -> None:
        from peft import LoraConfig, get_peft_model

        self.name = "Transformers + PEFT" if mode == "padded" else "Transformers, by hand"
        self.device = ours.device
        self.batches: Batches = ours.batches
        self._losses = self._padded_losses if mode == "padded" else self._losses_one_by_one
        settings = LoraConfig(
            r=ADAPTER.rank, lora_alpha=int(ADAPTER.alpha), target_modules="all-linear", bias="none"
        )
        with warnings.catch_warnings():
            # PEFT asks Transformers for an attribute that is about to be renamed.
            warnings.simplefilter("ignore", FutureWarning)
            self.model = get_peft_model(base, settings).train()
        self.adapter = {
            name: self.model.get_parameter(_peft_name(ours.model.config, name))
            for name in adapter_state(ours.model)
        }
        with torch.no_grad():
            for name, tensor in adapter_state(ours.model).items():
                self.adapter[name].copy_(_reordered(half_split, ours.model.config, name, tensor))
        self.config = ours.model.config
        constants = Optimizer()
        self.optimizer = torch.optim.AdamW(
            self.adapter.values(),
            lr=LEARNING_RATE,
            betas=constants.betas,
            eps=constants.eps,
            weight_decay=constants.weight_decay,
        )

    def step(self, number: int) -> Step:
        """Take optimizer step `number`."""
        conversations = self.batches.conversations(number)
        loss = self._accumulate(conversations)
        norm = nn.utils.clip_grad_norm_(self.adapter.values(), CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        tokens = sum(int(self.batches.dataset.lengths[index]) for index in conversations)
        return Step(loss, norm.item(), tokens)

    def loss_and_gradients(self, batches: Batches) -> tuple[float, dict[str, Tensor]]:
        """Return the mean loss of the first step and its gradients, under this project's names."""
        loss, gradients = self._accumulate(batches.conversations(0)), {}
        for name, parameter in self.adapter.items():
            assert parameter.grad is not None
            gradients[name] = _reordered(interleave, self.config, name, parameter.grad)
        self.optimizer.zero_grad()
        return loss, gradients

    def round_base(self) -> None:
        """Go on in bfloat16, with float32 adapters: PEFT's own choice for a bfloat16 base."""
        round_base(self.model)

    def _accumulate(self, conversations: list[int]) -> float:
        """Add the gradients of one step; return its loss."""
        total = torch.zeros((), device=self.device)
        for loss in self._losses(conversations):
            loss.backward()
            total += loss.detach()
        return total.item()

    def _padded_losses(self, indices: list[int]) -> Iterator[Tensor]:
        """Yield each padded batch's share of the mean loss, as Transformers' Trainer takes it."""
        groups = [
            self._pad(indices[i : i + PADDED_BATCH]) for i in range(0, len(indices), PADDED_BATCH)
        ]
        trained = sum(int((labels != IGNORED).sum()) for _, _, labels in groups)
        count = torch.tensor(trained, device=self.device)
        for group in groups:
            tokens, mask, labels = (tensor.to(self.device) for tensor in group)
            yield self.model(
                input_ids=tokens, attention_mask=mask, labels=labels, num_items_in_batch=count
            ).loss

    def _losses_one_by_one(self, indices: list[int]) -> Iterator[Tensor]:
        """Yield each conversation's share of the mean loss."""
        groups = [self._pad([index]) for index in indices]
        trained = sum(int((labels != IGNORED).sum()) for _, _, labels in groups)
        for tokens, _, labels in groups:
            rows = (labels[0] != IGNORED).nonzero()[:, 0]
            targets = labels[0, rows].to(self.device)
            logits = self.model(
                input_ids=tokens.to(self.device), logits_to_keep=(rows - 1).to(self.device)
            ).logits[0]
            yield F.cross_entropy(logits.float(), targets, reduction="sum") / trained

    def _pad(self, indices: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens, attention mask and labels [conversations, longest]."""
        dataset = self.batches.dataset
        longest = max(int(dataset.lengths[index]) for index in indices)
        tokens = torch.zeros(len(indices), longest, dtype=torch.int64)
        mask, labels = torch.zeros_like(tokens), torch.full_like(tokens, IGNORED)
        for row, index in enumerate(indices):
            length = int(dataset.lengths[index])
            own = torch.as_tensor(dataset.tokens(index))
            tokens[row, :length], mask[row, :length] = own, 1
            labels[row, :length] = own.where(torch.as_tensor(dataset.trained(index)), IGNORED)
        return tokens, mask, labels


def _peft_name(config: ModelConfig, name: str) -> str:
    """Return PEFT's name of our `layers.0.attention.wq.lora_a`."""
    linear, _, side = name.rpartition(".")
    module = weights(config)[f"{linear}.weight"].hugging_face.removesuffix(".weight")
    return f"base_model.model.{module}.{_SIDES[side]}.default.weight"


def _reordered(change: Reorder, config: ModelConfig, name: str, tensor: Tensor) -> Tensor:
    """Reorder the rows of a rotary projection's B between Meta's order and Transformers'."""
    linear, _, side = name.rpartition(".")
    row = weights(config)[f"{linear}.weight"]
    return tensor if side == "lora_a" else reordered(change, config, row, tensor)
