"""This project beside others, measured side by side in one run."""
