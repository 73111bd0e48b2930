"""Other spellings of flags: commands that name one thing differently take each other's names."""

from collections.abc import Mapping

# The flag as its command declares it, and what else it may be called there.
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "ckpt_dir": ("checkpoint_dir",),
    "checkpoint_dir": ("ckpt_dir",),
    "dataset_file": ("data_path",),
    "data_path": ("dataset_file", "benchmark_file"),
    "limit": ("num_examples",),
    "num_examples": ("limit",),
    "count": ("num_examples",),
    "max_new_tokens": ("max_gen_len",),
    "max_gen_len": ("max_new_tokens",),
    "batch_size": ("max_batch_size",),
    "max_batch_size": ("batch_size",),
    "base_ckpt_path": ("model_path",),
    "lora_ckpt_path": ("adapter_path",),
    "output_dir": ("save_path",),
}
