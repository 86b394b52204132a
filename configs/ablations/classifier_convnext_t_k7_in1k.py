"""ConvNeXt-T on ImageNet-1K, with its 7x7 kernels: the baseline for 31x31. 120 epochs at 224x224.

SLaK's author gives 81.0 % top-1 for it. The recipe of ConvNeXt's authors, but the cosine ends after 120 epochs.
Global batch 4096: 32 GPUs x 128 images.
"""

_base_ = '../classifier_convnext_t_in1k.py'
train_cfg = dict(max_epochs=120)
_base_.param_scheduler[1].end = 120
