"""Experiments: a promise, a fault that is counted, and a control without the mechanism, which must fail."""
