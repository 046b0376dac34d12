package org.pytorch.executorch;

public class EValue {
    private final Object content;

    private EValue(Object content) {
        this.content = content;
    }

    public static EValue from(Tensor tensor) {
        return new EValue(tensor);
    }

    public static EValue from(long number) {
        return new EValue(number);
    }

    public Tensor toTensor() {
        return (Tensor) content;
    }

    public long toInt() {
        return (Long) content;
    }
}
