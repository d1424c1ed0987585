"""A network for evaluation: batch norms become part of the convolutions before them."""

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from effnet.model import EfficientNet, MBConv

# Convolution -> the batch norm after it, in the network itself and in its blocks.
_FOLLOWED_BY = {
    "_conv_stem": "_bn0",
    "_conv_head": "_bn1",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
}


def folded(model: EfficientNet) -> EfficientNet:
    """The network in evaluation mode without batch norms: same logits but for rounding.

    Its convolutions have the weights of now, all else is shared with `model`: after more training
    it must be made again, which takes milliseconds. A map takes the place of the one before it
    where it can, a walk through memory less.
    """
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    fold = copy.deepcopy(model, shared).eval()
    for module in list(fold.modules()):
        if isinstance(module, EfficientNet | MBConv):
            module.inplace = True
        for conv_name, norm_name in _FOLLOWED_BY.items():
            conv = getattr(module, conv_name, None)
            if conv is not None:
                norm = getattr(module, norm_name)
                conv.weight, conv.bias = fuse_conv_bn_weights(
                    conv.weight, None, norm.running_mean, norm.running_var, norm.eps,
                    norm.weight, norm.bias,
                )  # fmt: skip
                setattr(module, norm_name, nn.Identity())
    return fold
