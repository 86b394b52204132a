"""ImageNet-1K as ``data/imagenet/{train,val}/CLASS/IMAGE``, with the augmentation of ConvNeXt's recipe, 224 x 224."""

train_pipeline = [
    dict(type='lkdense.classification.LoadImage'),
    dict(type='lkdense.classification.RandomResizedCrop', size=224),
    dict(type='lkdense.classification.RandomFlip'),
    dict(type='lkdense.classification.RandAugment', count=2, magnitude=9, deviation=0.5),
    dict(type='lkdense.classification.Normalize'),
    dict(type='lkdense.classification.RandomErasing', prob=0.25),
]
test_pipeline = [
    dict(type='lkdense.classification.LoadImage'),
    dict(type='lkdense.classification.ResizeEdge', size=256),
    dict(type='lkdense.classification.CenterCrop', size=224),
    dict(type='lkdense.classification.Normalize'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='lkdense.classification.ImageFolder', data_root='data/imagenet/train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='lkdense.classification.ImageFolder', data_root='data/imagenet/val', pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='lkdense.classification.Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
