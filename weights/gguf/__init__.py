"""GGUF files, as llama.cpp and its kin read them: weights and tokenizer in."""
