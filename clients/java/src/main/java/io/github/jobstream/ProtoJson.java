package io.github.jobstream;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.google.protobuf.Value;
import java.math.BigDecimal;

/** Converts a {@link Value} to JSON. Its numbers are doubles: whole ones within 64 bits are written as integers. */
final class ProtoJson {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    /** Largest whole number that is written as an integer; a larger one is written as a double. */
    private static final double WHOLE_MAX = 0x1p64;

    private ProtoJson() {}

    static String write(Value value) {
        return node(value).toString();
    }

    private static JsonNode node(Value value) {
        return switch (value.getKindCase()) {
            case NULL_VALUE, KIND_NOT_SET -> NODES.nullNode();
            case BOOL_VALUE -> NODES.booleanNode(value.getBoolValue());
            case STRING_VALUE -> NODES.textNode(value.getStringValue());
            case NUMBER_VALUE -> number(value.getNumberValue());
            case LIST_VALUE -> {
                var list = NODES.arrayNode();
                value.getListValue().getValuesList().forEach(item -> list.add(node(item)));
                yield list;
            }
            case STRUCT_VALUE -> {
                var object = NODES.objectNode();
                value.getStructValue().getFieldsMap().forEach((name, item) -> object.set(name, node(item)));
                yield object;
            }
        };
    }

    private static JsonNode number(double number) {
        boolean isWhole = number == Math.rint(number) && Math.abs(number) <= WHOLE_MAX;
        return isWhole ? NODES.numberNode(new BigDecimal(number).toBigIntegerExact()) : NODES.numberNode(number);
    }
}
