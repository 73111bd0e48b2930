"""The receipt of a tuned model: what made it, gathered into one file and checked against files."""
