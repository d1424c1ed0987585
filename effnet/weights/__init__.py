"""Pretrained weights: which checkpoints are published, whose names they use, how they load.

Stands on the model; training, the demo, figures and verdicts may import it.
"""
