"""Images on disk: every layout to one table, every image to cached pixels; check and fetch.

Knows nothing of models and training. `effnet.data` and all that stands above it may import it.
"""
