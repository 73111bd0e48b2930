"""Whether the calls are right."""
