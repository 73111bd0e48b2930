"""Text to token ids and back: one protocol for the tokenizer files of several model families."""
