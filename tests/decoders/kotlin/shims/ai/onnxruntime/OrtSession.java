package ai.onnxruntime;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import served.Served;

/** As far as the adapter uses it, with the signatures of ONNX Runtime's Java API. */
public class OrtSession implements AutoCloseable {
    private final String path;
    private boolean closed;

    OrtSession(String path) throws OrtException {
        this.path = path;
        try {
            Served.load(path);
        } catch (Served.Failure error) {
            throw new OrtException(error.getMessage());
        }
    }

    public Result run(Map<String, ? extends OnnxTensorLike> inputs) throws OrtException {
        if (closed) throw new IllegalStateException("a closed session is run");
        Map<String, Served.Tensor> feeds = new LinkedHashMap<>();
        inputs.forEach((name, tensor) -> feeds.put(name, ((OnnxTensor) tensor).content));
        try {
            Map<String, OnnxValue> found = new LinkedHashMap<>();
            Served.run(path, feeds).forEach((name, tensor) -> found.put(name, new OnnxTensor(tensor)));
            return new Result(found);
        } catch (Served.Failure error) {
            throw new OrtException(error.getMessage());
        }
    }

    @Override
    public void close() throws OrtException {
        if (closed) throw new IllegalStateException("a session is closed twice");
        closed = true;
    }

    public static class SessionOptions implements AutoCloseable {
        public void setIntraOpNumThreads(int numThreads) throws OrtException {}

        @Override
        public void close() {}
    }

    public static class Result implements AutoCloseable, Iterable<Map.Entry<String, OnnxValue>> {
        private final Map<String, OnnxValue> values;

        Result(Map<String, OnnxValue> values) {
            this.values = values;
        }

        public Optional<OnnxValue> get(String key) {
            return Optional.ofNullable(values.get(key));
        }

        @Override
        public Iterator<Map.Entry<String, OnnxValue>> iterator() {
            return values.entrySet().iterator();
        }

        @Override
        public void close() {
            values.values().forEach(OnnxValue::close);
        }
    }
}
