"""Load a model to be spoken to: a base or merged model, or a base with an adapter on top."""

from dataclasses import dataclass

import torch

from chat.formats.format import ChatFormat
from chat.formats.rendering import check_special_tokens
from inference.chat_choice import choose_format
from inference.chat_model import ChatModel
from inference.packed import native_dtype, pack
from model.config import ModelConfig
from weights.adapter import adapter_file, read_adapter
from weights.chat_record import ChatRecord, proposed_format, read_chat_record
from weights.directory import load_model, resolve_directory
from weights.tokenizer_file import check_tokenizer


@dataclass(frozen=True)
class Source:
    """Where a model comes from, as the flags of the same names say."""

    ckpt_dir: str
    lora_ckpt_path: str | None = None
    tokenizer_path: str | None = None
    chat_format: str | None = None
    chat_format_anyway: bool = False

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
        if self.lora_ckpt_path:
            return read_chat_record(adapter_file(self.lora_ckpt_path).parent)
        return read_chat_record(resolve_directory(self.ckpt_dir))


def load_chat_model(source: Source) -> ChatModel:
    """Load a model on the GPU in bfloat16 where there is one, else on the CPU.

    There it computes in the dtype it is stored in, or in float32 where the processor cannot.
    Tokenizer, chat format and adapter are checked before the weights are read; ValueError says
    what does not belong to the model.
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
    dtype = torch.bfloat16 if on_gpu else None
    model = load_model(source.ckpt_dir, "cuda" if on_gpu else "cpu", dtype)
    if not on_gpu:
        model = model.to(native_dtype(model.tok_embeddings.weight.dtype))
    if adapter is not None:
        adapter.attach(model)
    pack(model)
    return ChatModel(model, tokenizer, format)
