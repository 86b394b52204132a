"""Images in one folder for each class, as ImageNet is usually kept."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset

# All of lkdense counts the files in a folder with these suffixes as images.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')


class ImageFolder(BaseDataset):
    """``data_root/CLASS/**/IMAGE``; the classes are numbered in the order of their names.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for name in ('cat', 'dog'):
    ...         Path(folder, name).mkdir()
    ...         Path(folder, name, '1.jpg').touch()
    ...     dataset = ImageFolder(folder)
    >>> len(dataset), dataset.metainfo['classes'], dataset.get_data_info(1)['label']
    (2, ['cat', 'dog'], 1)

    Args:
        data_root: the folder that holds the classes' folders, such as ``data/imagenet/train``.
        pipeline: transforms of ``dict(img_path=..., label=...)``.
        **kwargs: arguments of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: there is no such folder, or no image in it.
    """

    def __init__(self, data_root: str, pipeline: Sequence[dict] = (), **kwargs):
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return path and label of every image."""
        root = Path(self.data_root)
        classes = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []

        images = []
        for label, name in enumerate(classes):
            for path in sorted((root / name).rglob('*')):
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    images.append(dict(img_path=str(path), label=label))

        if not images:
            suffixes = ', '.join(IMAGE_SUFFIXES)
            raise ValueError(f'expected images ({suffixes}) in folders of classes in {root}, found none')

        self._metainfo['classes'] = classes
        return images
