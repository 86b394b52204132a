"""Images in one folder for each class, as ImageNet is usually kept."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset

# Files with other endings are no images, wherever lkdense looks for images in a folder.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


class ImageFolder(BaseDataset):
    """``data_root/CLASS/**/IMAGE``; the classes are numbered in the order of their names.

    Args:
        data_root: the folder of the folders, such as ``data/imagenet/train``.
        pipeline: transforms of ``dict(img_path=..., label=...)``.
        **kwargs: of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: no such folder, or no image in it.
    """

    def __init__(self, data_root: str, pipeline: Sequence[dict] = (), **kwargs):
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return path and label of every image."""
        root = Path(self.data_root)
        classes = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
        images = [
            dict(img_path=str(path), label=label)
            for label, name in enumerate(classes)
            for path in sorted((root / name).rglob('*'))
            if path.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not images:
            raise ValueError(
                f'expected images ({", ".join(IMAGE_SUFFIXES)}) in folders of classes in {root}, found none'
            )

        self._metainfo['classes'] = classes
        return images
