"""Training and validation steps recorded once as CUDA graphs and replayed.

A step of B0 is some 900 small kernels. At batches of 32 a large GPU is done with each before the
next is launched; a graph launches them all at once.
"""

from collections.abc import Callable

import torch
from torch import Tensor


class GraphedStep:
    """Calls `step(*inputs)`, and from the fourth call on replays a recording of it.

    The first calls run as they are, so that libraries choose their kernels and optimizers make
    their state; they count as any other. A call with other shapes than the first one's (the last,
    shorter batch of an epoch) also runs as it is.

    Args:
        step: takes tensors on the device of the first one, works there alone (no `.item()`, no
            copies from the host), keeps what it changes in place, and returns one tensor. Its
            random numbers come from torch's own CUDA generator, which goes on through replays
            and can be reseeded.
    """

    EAGER = 3

    def __init__(self, step: Callable[..., Tensor]) -> None:
        self.step, self.calls = step, 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The step's result; the next call overwrites it."""
        if self.calls == 0:
            # One stream for everything: gradients and graphs are bound to the stream they began on.
            self.stream = torch.cuda.Stream()
            device = inputs[0].device
            self.inputs = [torch.empty_like(tensor, device=device) for tensor in inputs]
        if any(a.shape != b.shape for a, b in zip(self.inputs, inputs, strict=True)):
            return self._beside(self.step, *inputs)
        for static, tensor in zip(self.inputs, inputs, strict=True):
            static.copy_(tensor, non_blocking=True)
        self.calls += 1
        if self.calls <= self.EAGER:
            return self._beside(self.step, *self.inputs)
        if self.graph is None:
            self.graph = self._record()
        self._beside(self.graph.replay)
        return self.result

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=self.stream):
            self.result = self.step(*self.inputs)
        return graph

    def _beside(self, function: Callable, *arguments: Tensor) -> Tensor:
        """Call on the step's own stream, after what was asked for before, before what follows."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            result = function(*arguments)
        torch.cuda.current_stream().wait_stream(self.stream)
        return result
