"""The PyTorch side of the goldens in assets/goldens (see tools/torch_goldens.py)."""
