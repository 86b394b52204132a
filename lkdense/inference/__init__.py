"""Ask a trained model: images and videos in; label maps, instances, pictures and ONNX graphs out."""
