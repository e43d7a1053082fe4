package io.github.jobstream;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.google.protobuf.Value;
import java.math.BigDecimal;

/** JSON text of a {@link Value}, whose numbers are doubles: whole ones are written without a fraction. */
final class ProtoJson {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
    /** Beyond it a double no longer has every integer, and digits would pretend to an exactness that is not there. */
    private static final double EXACT_MAX = 1L << 53;

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
        boolean isWhole = number == Math.rint(number) && Math.abs(number) <= EXACT_MAX;
        return isWhole ? NODES.numberNode(new BigDecimal(number).toBigIntegerExact()) : NODES.numberNode(number);
    }
}
