"""How one trial is trained: step, trainer, callbacks, trackers, and what its folder records.

`effnet.train` puts it together. What is imported from there counts as training code: a change in
it gives every run a new id.
"""
