"""What backbones of mmpretrain yield, so that it need not be installed where a config that names one is swapped.

Read off mmpretrain 1.x: https://github.com/open-mmlab/mmpretrain/tree/main/mmpretrain/models/backbones
"""

# channels of the first stage; each further one has twice as many
CONVNEXT = dict(atto=40, femto=48, pico=64, nano=80, tiny=96, small=96, base=128, large=192, xlarge=256, huge=352)
# channels of the four stages
S, M = (64, 128, 320, 512), (96, 192, 384, 768)
POOLFORMER = dict(s12=S, s24=S, s36=S, m36=M, m48=M)


def known_maps(backbone: dict) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return strides and widths of the maps of a backbone's config, or None for one that is not known here."""
    arch, indices = backbone.get('arch'), backbone.get('out_indices')
    kind = backbone.get('type')
    # with `gap_before_final_norm`, as by default, it yields vectors
    if kind == 'mmpretrain.ConvNeXt' and arch in CONVNEXT and backbone.get('gap_before_final_norm') is False:
        widths, places = [CONVNEXT[arch] * 2**i for i in range(4)], [0, 1, 2, 3]
    elif kind == 'mmpretrain.PoolFormer' and arch in POOLFORMER:
        # it counts the steps between stages, too
        widths, places = POOLFORMER[arch], [0, 2, 4, 6]
    else:
        return None

    if not isinstance(indices, list | tuple) or not set(indices) <= set(places):
        return None

    stages = [places.index(i) for i in indices]
    return tuple(4 * 2**i for i in stages), tuple(widths[i] for i in stages)
