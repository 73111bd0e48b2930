"""Hugging Face's directories: `config.json`, safetensors, tokenizer files; in and out."""
