"""What a run takes: bytes of a step by kind, a rate at best, cards that fit it."""
