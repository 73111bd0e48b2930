"""Where answers come from: a model, a server, or a file of recorded outputs."""
