"""What people open: the session of a notebook, the runner that executes it, the page.

The top of the package: nothing else in it may import this.
"""
