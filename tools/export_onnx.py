"""Export a segmentor, or the merged backbone of any model, as an ONNX graph: `lkdense export`."""

from lkdense.commands import run

if __name__ == '__main__':
    run('export')
