"""The bundled base, its tools, and what the demo shows of them."""
