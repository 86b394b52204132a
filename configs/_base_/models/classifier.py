"""A backbone with a linear classifier and the targets of ConvNeXt's recipe: mixup, cutmix, smoothed labels."""

default_scope = 'mmengine'
model = dict(type='ImageClassifier', num_classes=1000, norm='layer', label_smoothing=0.1, mixup=0.8, cutmix=1.0)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
