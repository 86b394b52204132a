"""A trained model asked: images and videos in, label maps, instances, pictures and ONNX graphs out."""
