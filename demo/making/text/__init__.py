"""The text that the demo base is trained on: generated, so that nothing is anybody else's."""
