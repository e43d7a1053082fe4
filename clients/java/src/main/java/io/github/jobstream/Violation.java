package io.github.jobstream;

/**
 * An invalid field of a request.
 *
 * @param field path of the field, such as {@code job.kind}
 * @param description the violation, the value and the limit
 */
public record Violation(String field, String description) {}
