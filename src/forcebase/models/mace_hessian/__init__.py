"""The exact second derivative of a MACE model's energy, by the chain rule, node by node."""
