"""The other side: Transformers and PEFT on the same weights and conversations.

Their own modules compute; benchmarks/peer_modes.py has the ways in which they are used.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.ours import (
    ADAPTER,
    CLIP_NORM,
    LEARNING_RATE,
    Optimizer,
    Ours,
    Start,
    Step,
    cast_frozen,
)
from benchmarks.peer_modes import MODES
from data.batches import Batches
from model.config import ModelConfig, RopeScaling
from model.transformer import Transformer
from weights.hugging_face.names import Reorder, half_split, interleave, reordered, to_hugging_face
from weights.table import weights

NAMES = {
    "padded": "Transformers, padded",
    "packed": "Transformers, packed",
    "best": "Transformers, at best",
}
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


def prepared_peer(base: Any, method: str) -> nn.Module:
    """Return Transformers' Llama as its users prepare it for a method; it is changed."""
    if method == "full":
        return base.train()  # type: ignore[no-any-return]
    from peft import LoraConfig, get_peft_model

    if method == "qlora":
        _quantize(base)
    settings = LoraConfig(
        r=ADAPTER.rank, lora_alpha=int(ADAPTER.alpha), target_modules="all-linear", bias="none"
    )
    with warnings.catch_warnings():
        # PEFT asks Transformers for an attribute that is about to be renamed.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(base, settings).train()


def _quantize(base: Any) -> None:
    """Replace the linear layers of the blocks by bitsandbytes', as Transformers does on loading."""
    from bitsandbytes.nn import Linear4bit

    for name, linear in list(base.model.layers.named_modules()):
        if isinstance(linear, nn.Linear):
            shape = linear.in_features, linear.out_features
            packed = Linear4bit(*shape, bias=False, compress_statistics=False, quant_type="nf4")
            packed.load_state_dict(linear.state_dict())
            base.model.layers.set_submodule(name, packed.to(linear.weight.device))
    # What PEFT asks before it adapts such layers.
    base.is_loaded_in_4bit = True


class Shared:
    """One model of Transformers', with what ours starts from, for all ways of using it."""

    def __init__(self, base: Any, ours: Ours, method: str) -> None:
        self.model = prepared_peer(base, method)
        self.config, self.device = ours.model.config, ours.device
        # By this project's names.
        self.parameters = {
            name: self.model.get_parameter(_their_name(self.config, name))
            for name in ours.start.parameters
        }
        with torch.no_grad():
            for name, tensor in ours.start.parameters.items():
                self.parameters[name].copy_(_reordered(half_split, self.config, name, tensor))
        self.start = Start(self.parameters)

    def begin(self, dtype: torch.dtype) -> None:
        """Start anew: first weights, no moments, Trainer's optimizer."""
        self.start.restore()
        frozen = [p for p in self.model.parameters() if not p.requires_grad]
        cast_frozen(frozen, dtype)
        self.forward: Any = self.model
        if not frozen and dtype != torch.float32:
            # Trainer's `bf16=True`, where all weights are trained.
            self.forward = torch.autocast(self.device.type, dtype)(self.model)
        for module in self.model.modules():
            if hasattr(module, "compute_dtype"):
                module.compute_dtype = dtype  # type: ignore[assignment]
        constants = Optimizer()
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=LEARNING_RATE,
            betas=constants.betas,
            eps=constants.eps,
            weight_decay=constants.weight_decay,
            fused=True,
        )


class TransformersPeft:
    """Transformers' Llama used in one of `PEERS` ways, starting from our weights."""

    def __init__(self, shared: Shared, mode: str, batches: Batches) -> None:
        self.name, self.shared, self.losses = NAMES[mode], shared, MODES[mode]
        self.use(batches)
        self.begin(torch.float32)

    def use(self, batches: Batches) -> None:
        """Take these batches from now on."""
        self.batches = batches

    def begin(self, dtype: torch.dtype) -> None:
        """Start anew; PEFT's own choice for a base in bfloat16 are adapters in float32."""
        self.shared.begin(dtype)

    def step(self, number: int) -> Step:
        """Take optimizer step `number`."""
        conversations = self.batches.conversations(number)
        loss = self._accumulate(self.batches, conversations)
        norm = nn.utils.clip_grad_norm_(self.shared.parameters.values(), CLIP_NORM)
        self.shared.optimizer.step()
        self.shared.optimizer.zero_grad()
        tokens = sum(int(self.batches.dataset.lengths[index]) for index in conversations)
        return Step(loss.item(), norm.item(), tokens)

    def loss_and_gradients(self, batches: Batches) -> tuple[float, dict[str, Tensor]]:
        """Return the mean loss of the first step and its gradients, under this project's names."""
        loss, gradients = self._accumulate(batches, batches.conversations(0)), {}
        for name, parameter in self.shared.parameters.items():
            assert parameter.grad is not None
            gradients[name] = _reordered(interleave, self.shared.config, name, parameter.grad)
        self.shared.optimizer.zero_grad()
        return loss.item(), gradients

    def _accumulate(self, batches: Batches, conversations: list[int]) -> Tensor:
        """Add the gradients of one step; return its loss."""
        total = torch.zeros((), device=self.shared.device)
        for loss in self.losses(self.shared.forward, batches, conversations, self.shared.device):
            loss.backward()
            total += loss.detach()
        return total


def _their_name(config: ModelConfig, name: str) -> str:
    """Return the other side's name of one of our trained parameters."""
    table = weights(config)
    if name in table:
        return table[name].hugging_face
    linear, _, side = name.rpartition(".")
    module = table[f"{linear}.weight"].hugging_face.removesuffix(".weight")
    return f"base_model.model.{module}.{_SIDES[side]}.default.weight"


def _reordered(change: Reorder, config: ModelConfig, name: str, tensor: Tensor) -> Tensor:
    """Reorder rotary rows between Meta's order and Transformers'; A of an adapter has none."""
    linear, _, side = name.rpartition(".")
    row = weights(config)[f"{linear}.weight"]
    return tensor if side == "lora_a" else reordered(change, config, row, tensor)
