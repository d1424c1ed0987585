"""Data that the kit makes itself: drawn cars, and a checkpoint pretrained on other drawn cars.

Stands on training, which knows nothing of it: the grid, the report and `effnet.run` make a
trial's missing inputs here and hand them in.
"""
