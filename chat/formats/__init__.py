"""Chat formats and tool syntaxes: conversations to text and tokens, replies back to calls."""
