"""The network, its diffusion, its windows, and its weights."""
