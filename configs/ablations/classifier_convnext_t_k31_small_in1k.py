"""ConvNeXt-T on ImageNet-1K, with kernels of 31, 29, 27 and 13, 5x5 kernels beside them: 120 epochs at 224x224.

SLaK's author gives more than half a per cent above ConvNeXt's 7x7 for it, and SLaK's README 81.5 % for SLaK-T at 31,
which has strips and is sparse. The sizes by stage are those of RepLKNet-31; that SLaK's authors took the same is
unverified.
Global batch 4096: 32 GPUs x 128 images.
"""

_base_ = 'classifier_convnext_t_k7_in1k.py'
model = dict(backbone=dict(kernel_sizes=(31, 29, 27, 13), small_kernel=5))
