"""The maps of mmpretrain's backbones, so that it need not be installed where a config that names one is swapped.

Read off mmpretrain 1.x: https://github.com/open-mmlab/mmpretrain/tree/main/mmpretrain/models/backbones
"""

# Channels of the first stage. Each further stage has twice as many.
CONVNEXT = dict(atto=40, femto=48, pico=64, nano=80, tiny=96, small=96, base=128, large=192, xlarge=256, huge=352)

# Channels of the four stages.
S, M = (64, 128, 320, 512), (96, 192, 384, 768)
POOLFORMER = dict(s12=S, s24=S, s36=S, m36=M, m48=M)


def look_up_maps(backbone: dict) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return strides and widths of the maps of a backbone's config, or None for one that is not known here."""
    kind, arch = backbone.get('type'), backbone.get('arch')
    # With `gap_before_final_norm`, which is the default, a ConvNeXt yields vectors instead of maps.
    if kind == 'mmpretrain.ConvNeXt' and arch in CONVNEXT and backbone.get('gap_before_final_norm') is False:
        widths = [CONVNEXT[arch] * factor for factor in (1, 2, 4, 8)]
        stage_indices = [0, 1, 2, 3]
    elif kind == 'mmpretrain.PoolFormer' and arch in POOLFORMER:
        # PoolFormer counts the embeddings between its stages, too.
        widths = POOLFORMER[arch]
        stage_indices = [0, 2, 4, 6]
    else:
        return None

    out_indices = backbone.get('out_indices')
    if not isinstance(out_indices, list | tuple) or not set(out_indices) <= set(stage_indices):
        return None

    strides, out_widths = [], []
    for index in out_indices:
        stage = stage_indices.index(index)
        strides.append(4 * 2**stage)
        out_widths.append(widths[stage])

    return tuple(strides), tuple(out_widths)
