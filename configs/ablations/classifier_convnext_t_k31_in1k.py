"""ConvNeXt-T on ImageNet-1K, with kernels of 31, 29, 27 and 13, alone: 120 epochs at 224x224.

SLaK's author says that it is below ConvNeXt's 7x7, and gives no figure. The sizes by stage are those of RepLKNet-31;
that SLaK's authors took the same is unverified.
Global batch 4096: 32 GPUs x 128 images.
"""

_base_ = 'classifier_convnext_t_k7_in1k.py'
model = dict(backbone=dict(kernel_sizes=(31, 29, 27, 13)))
