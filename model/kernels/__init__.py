"""Functions of a step that keep and move fewer bytes than the operators they are made of."""
