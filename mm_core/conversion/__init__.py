"""Foreign model formats: the only home of xgboost and onnxmltools, and they live in a child process."""

from mm_core.conversion.onnx_converter import ConversionLimits, OnnxConverter, onnx_extra_installed

__all__ = ["ConversionLimits", "OnnxConverter", "onnx_extra_installed"]
