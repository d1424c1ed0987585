"""The same numbers, computed faster: kernels, recorded steps, memory that is kept.

Plain functions of tensors that know nothing of the kit; anything may import them, they import
nothing of it. Whatever changes here must give the same numbers up to rounding.
"""
