package ai.onnxruntime;

public abstract class OnnxTensorLike implements OnnxValue {
    @Override
    public abstract TensorInfo getInfo();
}
