package org.pytorch.executorch;

import java.io.Closeable;
import java.util.LinkedHashMap;
import java.util.Map;
import served.Served;

/** As far as the adapter uses it, with the signatures of ExecuTorch's Java API. */
public class Module implements Closeable {
    public static final int LOAD_MODE_MMAP = 1;

    private final String path;
    private boolean destroyed;

    private Module(String path) {
        this.path = path;
    }

    public static Module load(String modelPath, int loadMode, int numThreads) {
        return new Module(modelPath);
    }

    public void loadMethod(String methodName) {
        try {
            Served.load(path);
        } catch (Served.Failure error) {
            throw new RuntimeException(error.getMessage());
        }
    }

    public EValue[] forward(EValue... inputs) {
        if (destroyed) throw new IllegalStateException("Module has been destroyed");
        Map<String, Served.Tensor> feeds = new LinkedHashMap<>();
        for (int place = 0; place < inputs.length; place++) {
            feeds.put(Integer.toString(place), inputs[place].toTensor().content);
        }
        try {
            return Served.run(path, feeds).values().stream()
                .map(tensor -> EValue.from(Tensor.of(tensor)))
                .toArray(EValue[]::new);
        } catch (Served.Failure error) {
            throw new RuntimeException(error.getMessage());
        }
    }

    /** Of the methods of a file, those that give a number and take nothing. */
    public EValue[] execute(String methodName, EValue... inputs) {
        if (destroyed) throw new IllegalStateException("Module has been destroyed");
        try {
            return new EValue[] {EValue.from(Served.number(path, methodName))};
        } catch (Served.Failure error) {
            throw new RuntimeException(error.getMessage());
        }
    }

    public void destroy() {
        destroyed = true;
    }

    @Override
    public void close() {
        destroy();
    }
}
