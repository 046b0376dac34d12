package org.pytorch.executorch;

import served.Served;

public abstract class Tensor {
    final Served.Tensor content;

    Tensor(Served.Tensor content) {
        this.content = content;
    }

    static Tensor of(Served.Tensor content) {
        return new Tensor(content) {};
    }

    public static Tensor fromBlob(float[] data, long[] shape) {
        return of(new Served.Tensor(data, shape));
    }

    public static Tensor fromBlob(long[] data, long[] shape) {
        return of(new Served.Tensor(data, shape));
    }

    public long[] shape() {
        return content.shape.clone();
    }

    public float[] getDataAsFloatArray() {
        if (!(content.values instanceof float[])) throw new IllegalStateException("these are not floats");
        return (float[]) content.values;
    }

    public long[] getDataAsLongArray() {
        if (!(content.values instanceof long[])) throw new IllegalStateException("these are not longs");
        return (long[]) content.values;
    }
}
