"""A maker for every figure and table: runs or published numbers in, a Figure or DataFrame out.

Makers neither train nor write files. Notebooks, verdicts and the report may import them.
"""
