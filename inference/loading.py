"""Load a model to be spoken to: a base or merged model, or a base with an adapter on top."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from chat.formats.format import ChatFormat
from chat.formats.rendering import check_special_tokens
from inference.chat_choice import choose_format
from inference.chat_model import ChatModel
from inference.packed import native_dtype, pack
from inference.storage import choose_storage, storage_line
from model.blockwise import slow_kernels_line
from model.config import ModelConfig
from model.quantized import NF4_KINDS
from weights.adapter import adapter_file, base_quantization, read_adapter
from weights.building import quantize_on_arrival
from weights.chat_record import ChatRecord, proposed_format, read_chat_record
from weights.directory import load_model, resolve_directory
from weights.tokenizer_file import check_tokenizer


@dataclass(frozen=True)
class Source:
    """Where a model comes from, and how it is stored, as the flags of the same names say."""

    ckpt_dir: str
    lora_ckpt_path: str | None = None
    tokenizer_path: str | None = None
    chat_format: str | None = None
    chat_format_anyway: bool = False
    quantization: str | None = None

    def storage(self) -> str | None:
        """Return how the linear layers are stored: one of QUANTIZATIONS, or None.

        It is what is asked for, or as the adapter was trained, or as the directory has it.
        """
        trained = {self.lora_ckpt_path: self.trained_storage()} if self.lora_ckpt_path else {}
        return choose_storage(self.quantization, resolve_directory(self.ckpt_dir), trained)

    def trained_storage(self) -> str | None:
        """Return how the base was stored while the adapter was trained; None without adapter."""
        if not self.lora_ckpt_path:
            return None
        return base_quantization(adapter_file(self.lora_ckpt_path).parent)

    def format(self) -> ChatFormat:
        """Return the chat format to speak in: the one given, or that of the weights' training."""
        return choose_format(
            self.chat_format, self.chat_format_anyway, [self.chat_record()], self.proposed_format()
        )

    def proposed_format(self) -> str:
        """Return the chat format of the model's family."""
        return proposed_format(resolve_directory(self.ckpt_dir))

    def chat_record(self) -> ChatRecord | None:
        """Return what the weights know of their chat format; those of an adapter, where one is."""
        return read_chat_record(self.weights_directory())

    def weights_directory(self) -> Path:
        """Return where the weights are that were trained last: the adapter's, where one is."""
        if self.lora_ckpt_path:
            return adapter_file(self.lora_ckpt_path).parent
        return resolve_directory(self.ckpt_dir)


def load_chat_model(source: Source, tell: Callable[[str], object] = print) -> ChatModel:
    """Load a model on the GPU in bfloat16 where there is one, else on the CPU.

    There it computes in the dtype it is stored in, or in float32 where the processor cannot.
    Tokenizer, chat format and adapter are checked before the weights are read; ValueError says
    what does not belong to the model. `tell` is given a line about weights that are quantised.
    """
    format = source.format()
    directory = resolve_directory(source.ckpt_dir)
    config = ModelConfig.read(directory)
    tokenizer = format.load_tokenizer(source.tokenizer_path or directory)
    check_tokenizer(tokenizer.path, config.vocab_size)
    check_special_tokens(format, tokenizer)
    adapter = read_adapter(source.lora_ckpt_path) if source.lora_ckpt_path else None
    if adapter is not None:
        adapter.check(config, directory)
    on_gpu = torch.cuda.is_available()
    device, dtype = ("cuda", torch.bfloat16) if on_gpu else ("cpu", None)
    storage = source.storage()
    adapter_path, trained = source.lora_ckpt_path, source.trained_storage()
    if line := storage_line(directory, storage, adapter_path, trained):
        tell(line)
    if storage in NF4_KINDS and (slow := slow_kernels_line(device)):
        tell(slow)
    place = quantize_on_arrival(device, dtype, storage) if storage else None
    model = load_model(source.ckpt_dir, device, dtype, place)
    if not on_gpu:
        model = model.to(native_dtype(model.tok_embeddings.weight.dtype))
    if adapter is not None:
        adapter.attach(model)
    pack(model)
    return ChatModel(model, tokenizer, format)
