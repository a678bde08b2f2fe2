"""Ours against a peer, side by side in one run: `make bench`. What is measured and how: README.md beside this file."""
