"""Parameters of tools: dialects brought to JSON Schema, and arguments checked against them."""
