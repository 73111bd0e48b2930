"""The text that the demo base is trained on: generated, so that it holds no text by others."""
