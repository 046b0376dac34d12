package served;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Graphs that run in the Python process at the other end of stdin and stdout; see tests/kotlin_process.py.
 *
 * A message is a kind (one byte) and its fields: L a path; R a path and tensors; N a path and
 * the name of a number that the graph tells; J the answer to a command. Big endian.
 */
public final class Served {
    public static final DataInputStream IN = new DataInputStream(new java.io.BufferedInputStream(System.in));
    public static final DataOutputStream OUT = new DataOutputStream(new java.io.BufferedOutputStream(System.out, 1 << 16));

    /** A float[] or long[] and its shape. */
    public static final class Tensor {
        public final Object values;
        public final long[] shape;

        public Tensor(Object values, long[] shape) {
            this.values = values;
            this.shape = shape;
            long size = 1;
            for (long length : shape) size *= length;
            int count = values instanceof float[] ? ((float[]) values).length : ((long[]) values).length;
            if (size != count) throw new IllegalArgumentException("shape of " + size + " values for " + count);
        }
    }

    public static final class Failure extends Exception {
        Failure(String message) {
            super(message);
        }
    }

    private Served() {}

    public static void load(String path) throws Failure {
        try {
            OUT.writeByte('L');
            text(path);
            answer();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Inputs without names ("0", "1", ...) are taken in their order. */
    public static Map<String, Tensor> run(String path, Map<String, Tensor> inputs) throws Failure {
        try {
            OUT.writeByte('R');
            text(path);
            OUT.writeInt(inputs.size());
            for (Map.Entry<String, Tensor> input : inputs.entrySet()) write(input.getKey(), input.getValue());
            answer();
            Map<String, Tensor> outputs = new LinkedHashMap<>();
            for (int left = IN.readInt(); left > 0; left--) outputs.put(text(), read());
            return outputs;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    public static long number(String path, String name) throws Failure {
        try {
            OUT.writeByte('N');
            text(path);
            text(name);
            answer();
            return IN.readLong();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    public static void text(String value) throws IOException {
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        OUT.writeInt(bytes.length);
        OUT.write(bytes);
    }

    public static String text() throws IOException {
        byte[] bytes = new byte[IN.readInt()];
        IN.readFully(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** Send what was written and read whether it went well. */
    private static void answer() throws IOException, Failure {
        OUT.flush();
        if (IN.readByte() == 'E') throw new Failure(text());
    }

    private static void write(String name, Tensor tensor) throws IOException {
        boolean floats = tensor.values instanceof float[];
        text(name);
        OUT.writeByte(floats ? 'f' : 'l');
        OUT.writeInt(tensor.shape.length);
        for (long length : tensor.shape) OUT.writeLong(length);
        ByteBuffer bytes;
        if (floats) {
            float[] values = (float[]) tensor.values;
            bytes = ByteBuffer.allocate(4 * values.length);
            bytes.asFloatBuffer().put(values);
        } else {
            long[] values = (long[]) tensor.values;
            bytes = ByteBuffer.allocate(8 * values.length);
            bytes.asLongBuffer().put(values);
        }
        OUT.writeInt(bytes.capacity());
        OUT.write(bytes.array());
    }

    private static Tensor read() throws IOException {
        boolean floats = IN.readByte() == 'f';
        long[] shape = new long[IN.readInt()];
        for (int axis = 0; axis < shape.length; axis++) shape[axis] = IN.readLong();
        byte[] bytes = new byte[IN.readInt()];
        IN.readFully(bytes);
        if (floats) {
            float[] values = new float[bytes.length / 4];
            ByteBuffer.wrap(bytes).asFloatBuffer().get(values);
            return new Tensor(values, shape);
        }
        long[] values = new long[bytes.length / 8];
        ByteBuffer.wrap(bytes).asLongBuffer().get(values);
        return new Tensor(values, shape);
    }
}
