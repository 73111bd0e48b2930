"""Native directories whose linear layers are stored in NF4."""
