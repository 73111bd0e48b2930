"""What constraining cost, in words."""

from collections.abc import Sequence


def cost_text(seconds: Sequence[float]) -> str:
    """Return in words what constraining cost per token."""
    if not seconds:
        return "constrained decoding: no token was generated"
    ordered = sorted(seconds)
    median, tail = (ordered[int(share * (len(ordered) - 1))] * 1e3 for share in (0.5, 0.99))
    return (
        f"constrained decoding took {median:.3f} ms a token at the median, {tail:.3f} ms at "
        f"the 99th percentile, of {len(ordered):,} tokens"
    )
