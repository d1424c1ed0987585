"""Every claim of the thesis beside what is found here: findings by topic, and the verdict.

Reads runs and published numbers, trains nothing. Only the report may import it.
"""
