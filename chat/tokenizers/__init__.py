"""Text to token ids and back: one protocol over the files that models come with."""
