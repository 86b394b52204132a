"""Images from strangers: decoded within limits, upright, in RGB, and never larger than asked for."""

import io
import struct

from PIL import Image, ImageOps

# The formats of Pillow that people keep photographs in. Each one less is a decoder that nobody can attack.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF')
MAX_BYTES = 32 * 2**20
MAX_PIXELS = 64 * 10**6
# Pillow's modes with at most 8 bits a channel. From pixels of more bits Pillow would cut off what does not fit.
MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'CMYK', 'YCbCr')
# The errors that Pillow's decoders raise for damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)


class ImageError(ValueError):
    """Why some bytes are not taken as an image, in one sentence for the user."""


def decode_image(content: bytes, side: int) -> Image.Image:
    """Return the image in a file's ``content``, turned as its EXIF data say, and at most ``side`` pixels a side.

    Raises:
        ImageError: it is in none of ``FORMATS``, damaged, too large, or has more than 8 bits a channel.
    """
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ImageError(f'the image has more than {MAX_PIXELS / 1e6:.0f} million pixels') from None
    except DAMAGE:
        raise ImageError(f'this is no image that can be read; wanted {", ".join(FORMATS)}') from None

    # The size comes from the header: no pixel has been decoded yet.
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(
            f'the image has {image.width} x {image.height} pixels, at most {MAX_PIXELS / 1e6:.0f} million are taken'
        )
    if image.mode not in MODES:
        raise ImageError(f'the pixels are of kind {image.mode}, wanted 8 bits a channel')

    try:
        image.draft('RGB', (side, side))
        image = ImageOps.exif_transpose(image).convert('RGB')
    except DAMAGE:
        raise ImageError('the image is damaged: its pixels cannot be read') from None

    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def encode_jpeg(image: Image.Image, quality: int = 92) -> bytes:
    """Return the content of a JPEG file of an image."""
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=quality)
    return file.getvalue()
