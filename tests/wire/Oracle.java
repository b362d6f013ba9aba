import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import java.util.TreeMap;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.Readable;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.Struct;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordHelpers;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.OffsetAndMetadata;

/**
 * Kafka's own generated messages, asked line by line by src/wire/oracle and src/group/record/oracle.rs. Each line is answered by one, its parts
 * parted by tabs: "ok" and what is said below, or "error" and why.
 *
 * <pre>
 * schemas                   a list of all published schemas as JSON
 * versions NAME             the lowest and the highest version
 * read NAME VERSION HEX     what these bytes are as JSON, and the bytes that Kafka writes for it
 * make NAME VERSION SEED    the same of a value made up here
 * record +HEX [+HEX | -]    what the group coordinator writes again of this key and value, or tombstone; in the same form
 * offset GROUP TOPIC PARTITION OFFSET EPOCH METADATA COMMITTED EXPIRES TOPICID
 *                           the key and the value of an offset as it writes them
 * </pre>
 */
public class Oracle {
    private static final String[] PACKAGES = {
        "org.apache.kafka.common.message.",
        "org.apache.kafka.common.metadata.",
        "org.apache.kafka.coordinator.group.generated.",
        "org.apache.kafka.coordinator.transaction.generated.",
        "org.apache.kafka.coordinator.share.generated.",
    };
    private static final ObjectMapper JSON = new ObjectMapper().enable(JsonParser.Feature.ALLOW_COMMENTS);
    private static final Map<String, Kind> KINDS = new HashMap<>();
    private static final GroupCoordinatorRecordSerde SERDE = new GroupCoordinatorRecordSerde();
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.print(answer(line.split(" ")));
            out.print('\n');
            out.flush();
        }
    }

    private static String answer(String[] words) {
        try {
            return "ok\t" + switch (words[0]) {
                case "schemas" -> JSON.writeValueAsString(schemas());
                case "versions" -> Kind.of(words[1]).versions();
                case "read" -> Kind.of(words[1]).read(Short.parseShort(words[2]), unhex(words));
                case "make" -> Kind.of(words[1]).make(Short.parseShort(words[2]), Long.parseLong(words[3]));
                case "record" -> record(words);
                case "offset" -> offset(words);
                default -> throw new IllegalArgumentException(words[0]);
            };
        } catch (InvocationTargetException e) {
            return "error\t" + e.getCause();
        } catch (Exception e) {
            return "error\t" + e;
        }
    }

    private static byte[] unhex(String[] words) {
        return words.length < 4 ? new byte[0] : HEX.parseHex(words[3]);
    }

    private static String record(String[] words) {
        CoordinatorRecord record = SERDE.deserialize(part(words[1]), part(words[2]));
        byte[] value = SERDE.serializeValue(record);
        return HEX.formatHex(SERDE.serializeKey(record)) + "\t" + (value == null ? "-" : "+" + HEX.formatHex(value));
    }

    private static ByteBuffer part(String word) {
        return word.equals("-") ? null : ByteBuffer.wrap(HEX.parseHex(word.substring(1)));
    }

    private static String offset(String[] words) {
        long expires = Long.parseLong(words[8]);
        ByteBuffer id = ByteBuffer.wrap(HEX.parseHex(words[9]));
        OffsetAndMetadata offset = new OffsetAndMetadata(
            Long.parseLong(words[4]),
            OptionalInt.of(Integer.parseInt(words[5])),
            words[6],
            Long.parseLong(words[7]),
            expires == -1 ? OptionalLong.empty() : OptionalLong.of(expires),
            new Uuid(id.getLong(), id.getLong()));
        CoordinatorRecord record =
            GroupCoordinatorRecordHelpers.newOffsetCommitRecord(words[1], words[2], Integer.parseInt(words[3]), offset);
        return HEX.formatHex(SERDE.serializeKey(record)) + "\t" + HEX.formatHex(SERDE.serializeValue(record));
    }

    /** Every schema in the jars of the class path. */
    private static ArrayNode schemas() throws Exception {
        ArrayNode all = JSON.createArrayNode();
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            try (JarFile jar = new JarFile(path)) {
                for (JarEntry entry : (Iterable<JarEntry>) jar.stream()::iterator) {
                    if (entry.getName().matches("common/(message|metadata)/\\w+\\.json")) {
                        try (InputStream content = jar.getInputStream(entry)) {
                            all.add(JSON.readTree(content));
                        }
                    }
                }
            }
        }
        return all;
    }

    /** One kind of message. */
    private record Kind(Constructor<?> reader, Method json, Schema[] schemas, short lowest, short highest) {
        static Kind of(String name) throws Exception {
            Kind known = KINDS.get(name);
            if (known == null) {
                known = find(name);
                KINDS.put(name, known);
            }
            return known;
        }

        private static Kind find(String name) throws Exception {
            for (String prefix : PACKAGES) {
                for (String suffix : new String[] {"Data", ""}) {
                    try {
                        return of(Class.forName(prefix + name + suffix));
                    } catch (ClassNotFoundException e) {
                        // Elsewhere, then.
                    }
                }
            }
            throw new ClassNotFoundException(name);
        }

        private static Kind of(Class<?> kind) throws Exception {
            return new Kind(
                kind.getConstructor(Readable.class, short.class),
                Class.forName(kind.getName() + "JsonConverter").getMethod("write", kind, short.class, boolean.class),
                (Schema[]) kind.getField("SCHEMAS").get(null),
                kind.getField("LOWEST_SUPPORTED_VERSION").getShort(null),
                kind.getField("HIGHEST_SUPPORTED_VERSION").getShort(null));
        }

        String versions() {
            return lowest + "\t" + highest;
        }

        String read(short version, byte[] bytes) throws Exception {
            ByteBufferAccessor accessor = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
            Message message = (Message) reader.newInstance(accessor, version);
            if (accessor.remaining() > 0) {
                throw new IllegalStateException(accessor.remaining() + " bytes are left unread");
            }
            JsonNode shown = (JsonNode) json.invoke(null, message, version, false);
            ByteBuffer written = MessageUtil.toByteBufferAccessor(message, version).buffer();
            byte[] again = new byte[written.remaining()];
            written.get(again);
            return JSON.writeValueAsString(shown) + "\t" + HEX.formatHex(again);
        }

        String make(short version, long seed) throws Exception {
            Schema schema = schemas[version];
            Struct struct = struct(schema, new Random(seed));
            ByteBuffer buffer = ByteBuffer.allocate(schema.sizeOf(struct));
            schema.write(buffer, struct);
            // A tagged field may have been given its default, which Kafka's class then leaves out.
            return read(version, buffer.array());
        }
    }

    private static Struct struct(Schema schema, Random random) {
        Struct struct = new Struct(schema);
        for (BoundField field : schema.fields()) {
            struct.set(field, value(field.def.type, random));
        }
        return struct;
    }

    private static Object value(Type type, Random random) {
        if (type.isNullable() && random.nextInt(4) == 0) {
            return null;
        }
        if (type instanceof TaggedFields tagged) {
            TreeMap<Integer, Object> some = new TreeMap<>();
            for (Map.Entry<Integer, Field> field : tagged.fields().entrySet()) {
                Type inner = field.getValue().type;
                // A struct that may be null has another form in Kafka's schema than in its classes when it is tagged.
                // The other way, from our values to Kafka's classes, goes through it.
                boolean disagrees = inner instanceof Schema && inner.isNullable();
                if (!disagrees && random.nextInt(3) > 0) {
                    some.put(field.getKey(), value(inner, random));
                }
            }
            return some;
        }
        if (type instanceof Schema schema) {
            return struct(schema, random);
        }
        if (type.isArray()) {
            Object[] elements = new Object[random.nextInt(4)];
            for (int i = 0; i < elements.length; i++) {
                elements[i] = value(type.arrayElementType().get(), random);
            }
            return elements;
        }
        return primitive(((Type.DocumentedType) type).typeName(), random);
    }

    private static Object primitive(String type, Random random) {
        return switch (type) {
            case "BOOLEAN" -> random.nextBoolean();
            case "INT8" -> (byte) random.nextInt();
            case "INT16" -> (short) random.nextInt();
            case "UINT16" -> random.nextInt(1 << 16);
            case "INT32" -> random.nextInt();
            case "UINT32" -> random.nextLong(1L << 32);
            case "INT64" -> random.nextLong();
            case "FLOAT64" -> random.nextGaussian() * 1000;
            case "UUID" -> new Uuid(random.nextLong(), random.nextLong());
            case "STRING", "COMPACT_STRING", "NULLABLE_STRING", "COMPACT_NULLABLE_STRING" -> text(random);
            case "BYTES", "COMPACT_BYTES", "NULLABLE_BYTES", "COMPACT_NULLABLE_BYTES" -> bytes(random);
            case "RECORDS", "COMPACT_RECORDS", "NULLABLE_RECORDS", "COMPACT_NULLABLE_RECORDS" ->
                MemoryRecords.readableRecords(bytes(random));
            default -> throw new IllegalArgumentException("no value is known of type " + type);
        };
    }

    private static String text(Random random) {
        String[] letters = {"a", "Z", ".", "\"", "\n", "\u00e9", "\u20ac", "\ud83e\udd80"};
        StringBuilder text = new StringBuilder();
        for (int left = length(random); left > 0; left--) {
            text.append(letters[random.nextInt(letters.length)]);
        }
        return text.toString();
    }

    private static ByteBuffer bytes(Random random) {
        byte[] bytes = new byte[length(random)];
        random.nextBytes(bytes);
        return ByteBuffer.wrap(bytes);
    }

    /** Mostly short; sometimes beyond what a varint of one byte can say. */
    private static int length(Random random) {
        return random.nextInt(20) == 0 ? random.nextInt(300) : random.nextInt(6);
    }
}
