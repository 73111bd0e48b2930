"""The engine's load as Prometheus reads it."""

from serving.engine import Load

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(load: Load) -> str:
    """Return the figures in Prometheus' text format, each with its meaning and its type."""
    figures = (
        ("replies_running", "gauge", "Replies that are generated now.", load.running),
        ("replies_waiting", "gauge", "Replies that wait for a free place.", load.waiting),
        ("replies_total", "counter", "Replies that came to their end.", load.replies),
        ("tokens_total", "counter", "Tokens that were generated.", load.tokens),
    )
    return "".join(
        f"# HELP {name} {meaning}\n# TYPE {name} {type}\n{name} {value}\n"
        for name, type, meaning, value in figures
    )
