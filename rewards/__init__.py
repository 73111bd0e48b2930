"""Learning from verdicts: replies that a model draws, what is right about them, and pairs."""
