"""Files of weights: read, written, converted, merged and checked."""
