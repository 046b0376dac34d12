package ai.onnxruntime;

import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import served.Served;

public class OnnxTensor extends OnnxTensorLike {
    final Served.Tensor content;
    private boolean closed;

    OnnxTensor(Served.Tensor content) {
        this.content = content;
    }

    public static OnnxTensor createTensor(OrtEnvironment env, FloatBuffer data, long[] shape) throws OrtException {
        float[] values = new float[data.remaining()];
        data.duplicate().get(values);
        return new OnnxTensor(new Served.Tensor(values, shape));
    }

    public static OnnxTensor createTensor(OrtEnvironment env, LongBuffer data, long[] shape) throws OrtException {
        long[] values = new long[data.remaining()];
        data.duplicate().get(values);
        return new OnnxTensor(new Served.Tensor(values, shape));
    }

    @Override
    public TensorInfo getInfo() {
        return new TensorInfo(content.shape);
    }

    /** A copy, or null if these are not floats. */
    public FloatBuffer getFloatBuffer() {
        if (closed) throw new IllegalStateException("a closed tensor is read");
        return content.values instanceof float[] ? FloatBuffer.wrap(((float[]) content.values).clone()) : null;
    }

    /** A copy, or null if these are not longs. */
    public LongBuffer getLongBuffer() {
        if (closed) throw new IllegalStateException("a closed tensor is read");
        return content.values instanceof long[] ? LongBuffer.wrap(((long[]) content.values).clone()) : null;
    }

    @Override
    public void close() {
        if (closed) throw new IllegalStateException("a tensor is closed twice");
        closed = true;
    }
}
