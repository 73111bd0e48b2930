"""How the demo's base was made: its text, its own training loop, its probes."""
